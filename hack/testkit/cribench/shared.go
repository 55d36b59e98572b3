package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	sharedImages = 20
	commonLayers = 6
	commonBytes  = 8 << 20
	ownBytes     = 1 << 20
)

// A sharing registry holds, in memory, images that have all layers but one in
// common, and counts what is asked of it.
type sharing struct {
	blobs     map[string][]byte
	manifests map[string][]byte // by name of the repository

	mu   sync.Mutex
	gets map[string]int
}

func newSharing(seed int64) *sharing {
	r := &sharing{blobs: map[string][]byte{}, manifests: map[string][]byte{}, gets: map[string]int{}}
	rnd := rand.New(rand.NewSource(seed))
	var common []descriptor
	var ids []string
	for i := range commonLayers {
		d, id := r.layer(rnd, fmt.Sprintf("common-%d", i), commonBytes)
		common, ids = append(common, d), append(ids, id)
	}
	for i := range sharedImages {
		own, id := r.layer(rnd, fmt.Sprintf("own-%d", i), ownBytes)
		config, _ := json.Marshal(map[string]any{
			"architecture": "amd64", "os": "linux", "config": map[string]any{"Cmd": []string{"/bin/true"}},
			"rootfs": map[string]any{"type": "layers", "diff_ids": append(append([]string{}, ids...), id)},
		})
		m, _ := json.Marshal(manifest{
			SchemaVersion: 2, MediaType: "application/vnd.oci.image.manifest.v1+json",
			Config: r.blob("application/vnd.oci.image.config.v1+json", config),
			Layers: append(append([]descriptor{}, common...), own),
		})
		r.manifests[fmt.Sprintf("shared/%d", i)] = m
	}
	return r
}

// layer makes a layer of one file that hardly compresses; its diff id too.
func (r *sharing) layer(rnd *rand.Rand, name string, size int) (descriptor, string) {
	content := make([]byte, size)
	rnd.Read(content)
	var plain, packed bytes.Buffer
	t := tar.NewWriter(&plain)
	_ = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(size), ModTime: time.Unix(1, 0)})
	_, _ = t.Write(content)
	_ = t.Close()
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(plain.Bytes())
	_ = z.Close()
	return r.blob("application/vnd.oci.image.layer.v1.tar+gzip", packed.Bytes()), digestOf(plain.Bytes())
}

func digestOf(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

func (r *sharing) blob(mediaType string, b []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digestOf(b), Size: int64(len(b))}
	r.blobs[d.Digest] = b
	return d
}

// ServeHTTP is the part of the distribution API that a pull uses.
func (r *sharing) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	path := strings.TrimPrefix(rq.URL.Path, "/v2/")
	if repo, _, ok := strings.Cut(path, "/manifests/"); ok && r.manifests[repo] != nil {
		m := r.manifests[repo]
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", digestOf(m))
		http.ServeContent(w, rq, "", time.Time{}, bytes.NewReader(m))
		return
	}
	if _, digest, ok := strings.Cut(path, "/blobs/"); ok && r.blobs[digest] != nil {
		if rq.Method == http.MethodGet {
			r.mu.Lock()
			r.gets[digest]++
			r.mu.Unlock()
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, rq, "", time.Time{}, bytes.NewReader(r.blobs[digest]))
		return
	}
	if path == "" {
		return
	}
	http.NotFound(w, rq)
}

// mostGets is how often the layer was fetched that was fetched most.
func (r *sharing) mostGets() (most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for digest, n := range r.gets {
		if len(r.blobs[digest]) >= ownBytes {
			most = max(most, n)
		}
	}
	return most
}

// pullShared pulls images at once that share all layers but one.
func (b *bench) pullShared(ctx context.Context, s *Suite) error {
	l, err := net.Listen("tcp", b.o.SharedAddr)
	if err != nil {
		return err
	}
	reg := newSharing(time.Now().UnixNano())
	srv := &http.Server{Handler: reg, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	spec := func(i int) *cri.ImageSpec {
		return &cri.ImageSpec{Image: fmt.Sprintf("%s/shared/%d:latest", b.o.SharedAddr, i)}
	}
	m := startMeter(b.o)
	d, err := parallel(sharedImages, sharedImages, func(i int) error {
		_, err := b.c.im.PullImage(ctx, &cri.PullImageRequest{Image: spec(i)})
		return err
	})
	cpu, _, sum := m.end()
	if err == nil {
		s.set("20 at once s", d.Seconds())
		s.set("20 at once CPU s", cpu)
		s.set("20 at once all processes peak PSS MiB", float64(sum)/(1<<20))
		s.set("20 at once most GETs of a layer", float64(reg.mostGets()))
	}
	for i := range sharedImages {
		if _, e := b.c.im.RemoveImage(ctx, &cri.RemoveImageRequest{Image: spec(i)}); e != nil && err == nil {
			err = e
		}
	}
	return err
}
