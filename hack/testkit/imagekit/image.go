package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"runtime"
	"strings"
	"time"
)

// The media types of the two manifest families.
const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	ociLayer       = "application/vnd.oci.image.layer.v1.tar" // and +gzip, +zstd
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar" // and .gzip, .zstd
)

// A descriptor points at a blob or a manifest.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// A platform is one manifest of an index.
type platform struct {
	os, arch, variant string
	layers            []*layer
}

// An image is what to push under the given tags of a repository.
type image struct {
	repo   string
	tags   []string
	what   string // for images.json
	layers []*layer
	config map[string]any // the OCI "config" object: Env, Cmd, User, ...
	docker bool           // Docker media types instead of OCI ones
	single bool           // a bare manifest, without an index around it

	others []platform // further manifests of the index
	attest bool       // the index has an attestation, as BuildKit makes it
	only   string     // the index has this platform (os/arch) and not the machine's
	spoil  func(cfg map[string]any, man *manifest)
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// A blob is bytes with their digest.
type blob struct {
	digest string
	size   int64
	open   func() (io.ReadCloser, error)
}

func bytesBlob(b []byte) blob {
	return blob{sum(b), int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// A document is a manifest or an index.
type document struct {
	mediaType string
	body      []byte
}

func (d document) descriptor() descriptor {
	return descriptor{MediaType: d.mediaType, Digest: sum(d.body), Size: int64(len(d.body))}
}

// built is an image ready to be pushed or written to a file.
type built struct {
	*image
	top       document   // what the tags resolve to
	manifests []document // that and all below it
	blobs     []blob
	config    []byte // of the machine's platform
	manifest  document
	size, raw int64
}

// A pushed image is an element of images.json.
type pushed struct {
	Repo           string   `json:"repo"`
	Tags           []string `json:"tags"`
	What           string   `json:"what,omitempty"`
	Digest         string   `json:"digest"`          // what the tags resolve to
	ManifestDigest string   `json:"manifest_digest"` // of the platform's manifest
	ConfigDigest   string   `json:"config_digest"`   // the image ID
	Layers         int      `json:"layers"`
	Bytes          int64    `json:"bytes"`              // compressed
	RawBytes       int64    `json:"uncompressed_bytes"` // tars
}

func (b *built) summary() *pushed {
	return &pushed{
		Repo: b.repo, Tags: b.tags, What: b.what, Digest: sum(b.top.body), ManifestDigest: sum(b.manifest.body),
		ConfigDigest: sum(b.config), Layers: len(b.layers), Bytes: b.size, RawBytes: b.raw,
	}
}

func (im *image) layerType(c compression) string {
	mt, sep := ociLayer, "+"
	if im.docker {
		mt, sep = dockerLayer, "."
	}
	if c == plain {
		return mt
	}
	return mt + sep + string(c)
}

// platformManifest builds a manifest, with its config, of one platform.
func (im *image) platformManifest(b *built, p platform) (document, []byte) {
	mtManifest, mtConfig := ociManifest, ociConfig
	if im.docker {
		mtManifest, mtConfig = dockerManifest, dockerConfig
	}
	m := manifest{SchemaVersion: 2, MediaType: mtManifest}
	var diffs []string
	var history []map[string]any
	for _, l := range p.layers {
		diffs = append(diffs, l.DiffID)
		m.Layers = append(m.Layers, descriptor{MediaType: im.layerType(l.comp), Digest: l.Digest, Size: l.Size})
		history = append(history, map[string]any{"created": epoch.Format(time.RFC3339), "created_by": "imagekit " + l.name})
		b.blobs = append(b.blobs, blob{l.Digest, l.Size, func() (io.ReadCloser, error) { return os.Open(l.path) }})
	}
	cfg := map[string]any{
		"architecture": p.arch, "os": p.os, "created": epoch.Format(time.RFC3339),
		"config": maps.Clone(im.config), "history": history,
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	}
	if p.variant != "" {
		cfg["variant"] = p.variant
	}
	if im.spoil != nil {
		im.spoil(cfg, &m)
	}
	cb, _ := json.Marshal(cfg)
	m.Config = descriptor{MediaType: mtConfig, Digest: sum(cb), Size: int64(len(cb))}
	b.blobs = append(b.blobs, bytesBlob(cb))
	mb, _ := json.Marshal(m)
	return document{mtManifest, mb}, cb
}

// attestation is a manifest that says something about another one: it is no
// image, its platform is unknown/unknown, and its layer is not a tar.
func attestation(b *built, of descriptor) (document, descriptor) {
	statement := []byte(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2","subject":[],"predicate":{}}`)
	cfg := []byte(`{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":["` + sum(statement) + `"]}}`)
	b.blobs = append(b.blobs, bytesBlob(statement), bytesBlob(cfg))
	m := manifest{SchemaVersion: 2, MediaType: ociManifest,
		Config: descriptor{MediaType: ociConfig, Digest: sum(cfg), Size: int64(len(cfg))},
		Layers: []descriptor{{MediaType: "application/vnd.in-toto+json", Digest: sum(statement), Size: int64(len(statement))}}}
	mb, _ := json.Marshal(m)
	doc := document{ociManifest, mb}
	d := doc.descriptor()
	d.Platform = map[string]string{"architecture": "unknown", "os": "unknown"}
	d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of.Digest}
	return doc, d
}

// build makes an image's layers, in dir, and its documents.
func (im *image) build(dir string) (*built, error) {
	b := &built{image: im}
	main := platform{os: "linux", arch: runtime.GOARCH, layers: im.layers}
	if im.only != "" {
		main.os, main.arch, _ = strings.Cut(im.only, "/")
	}
	all := append([]platform{main}, im.others...)
	var descs []descriptor
	for i, p := range all {
		for _, l := range p.layers {
			if err := l.make(dir); err != nil {
				return nil, err
			}
			if i == 0 {
				b.size, b.raw = b.size+l.Size, b.raw+l.Raw
			}
		}
		doc, cfg := im.platformManifest(b, p)
		if i == 0 {
			b.config, b.manifest = cfg, doc
		}
		b.manifests = append(b.manifests, doc)
		d := doc.descriptor()
		d.Platform = map[string]string{"architecture": p.arch, "os": p.os}
		if p.variant != "" {
			d.Platform["variant"] = p.variant
		}
		descs = append(descs, d)
	}
	if im.single {
		b.top = b.manifest
		return b, nil
	}
	// The machine's own platform comes last and what is no image first: whoever
	// takes the first manifest of an index without a look at it fails.
	own := descs[0]
	descs = append(descs[1:], own)
	if im.attest {
		doc, d := attestation(b, own)
		b.manifests = append(b.manifests, doc)
		descs = append([]descriptor{d}, descs...)
	}
	mt := ociIndex
	if im.docker {
		mt = dockerList
	}
	top, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mt, "manifests": descs})
	b.top = document{mt, top}
	b.manifests = append(b.manifests, b.top)
	return b, nil
}
