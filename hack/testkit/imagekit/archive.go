package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A file of an archive or a directory.
type file struct {
	name string
	size int64
	open func() (io.ReadCloser, error)
}

func bytesFile(name string, b []byte) file { return file{name, int64(len(b)), bytesBlob(b).open} }

// fullName is an image's name as `docker save` writes it into an OCI layout.
func fullName(repo, tag string) string { return "docker.io/" + repo + ":" + tag }

func blobName(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// ociLayout lists the files of an OCI image layout with the image in it.
func ociLayout(b *built) []file {
	var descs []descriptor
	for _, tag := range b.tags {
		d := b.top.descriptor()
		d.Annotations = map[string]string{
			"io.containerd.image.name":          fullName(b.repo, tag),
			"org.opencontainers.image.ref.name": tag,
		}
		descs = append(descs, d)
	}
	index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": descs})
	out := []file{bytesFile("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), bytesFile("index.json", index)}
	seen := map[string]bool{}
	for _, bl := range b.blobs {
		if !seen[bl.digest] {
			seen[bl.digest] = true
			out = append(out, file{blobName(bl.digest), bl.size, bl.open})
		}
	}
	for _, m := range b.manifests {
		if d := sum(m.body); !seen[d] {
			seen[d] = true
			out = append(out, bytesFile(blobName(d), m.body))
		}
	}
	return out
}

// dockerArchive lists the files of an archive as `docker save` made it before it
// took to OCI layouts: layers are plain tars, and manifest.json comes last.
func dockerArchive(b *built) ([]file, error) {
	var out []file
	var names, tags []string
	for _, l := range b.layers {
		body, err := l.tar()
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(l.DiffID, "sha256:") + "/layer.tar"
		names = append(names, name)
		out = append(out, bytesFile(name, body))
	}
	for _, t := range b.tags {
		tags = append(tags, b.repo+":"+t)
	}
	cfg := strings.TrimPrefix(sum(b.config), "sha256:") + ".json"
	man, _ := json.Marshal([]any{map[string]any{"Config": cfg, "RepoTags": tags, "Layers": names}})
	return append(out, bytesFile(cfg, b.config), bytesFile("manifest.json", man)), nil
}

// writeTar puts files into a tar with their directories.
func writeTar(w io.Writer, files []file) error {
	tw := tar.NewWriter(w)
	dirs := map[string]bool{".": true, "/": true}
	var mkdir func(string) error
	mkdir = func(d string) error {
		if dirs[d] || strings.Contains(d, "..") {
			return nil
		}
		if err := mkdir(filepath.Dir(d)); err != nil {
			return err
		}
		dirs[d] = true
		return tw.WriteHeader(entry{name: d, mode: 0o755, dir: true}.header())
	}
	for _, f := range files {
		if err := mkdir(filepath.Dir(f.name)); err != nil {
			return err
		}
		h := entry{name: f.name, mode: 0o644}.header()
		h.Size = f.size
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		r, err := f.open()
		if err != nil {
			return err
		}
		_, err = io.Copy(tw, r)
		r.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return tw.Close()
}

func writeDir(dir string, files []file) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, f := range files {
		p := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		r, err := f.open()
		if err != nil {
			return err
		}
		w, err := os.Create(p)
		if err == nil {
			_, err = io.Copy(w, r)
			err = firstOf(err, w.Close())
		}
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func writeTarFile(path string, files []file) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(path, ".gz") {
		return firstOf(writeTar(f, files), f.Close())
	}
	z := gzip.NewWriter(f)
	return firstOf(writeTar(z, files), z.Close(), f.Close())
}

// writeImage writes an image to a path whose name says how: *.docker.tar[.gz] is
// an archive as of docker save, *.tar[.gz] an OCI layout in a tar, all else
// a directory with an OCI layout.
func writeImage(path string, b *built) error {
	name := strings.TrimSuffix(path, ".gz")
	switch {
	case strings.HasSuffix(name, ".docker.tar"):
		files, err := dockerArchive(b)
		if err != nil {
			return err
		}
		return writeTarFile(path, files)
	case strings.HasSuffix(name, ".tar"):
		return writeTarFile(path, ociLayout(b))
	}
	return writeDir(path, ociLayout(b))
}

// writeBadFiles writes archives that must be refused.
func writeBadFiles(dir string, b *built) error {
	// a layer whose content is not what its name says
	files := ociLayout(b)
	for i, f := range files {
		if f.name == blobName(b.layers[0].Digest) {
			raw, err := os.ReadFile(b.layers[0].path)
			if err != nil {
				return err
			}
			raw[len(raw)/2] ^= 1
			files[i] = bytesFile(f.name, raw)
		}
	}
	if err := writeTarFile(filepath.Join(dir, "bad-digest.tar"), files); err != nil {
		return err
	}
	// a layer that is not there
	if err := writeTarFile(filepath.Join(dir, "bad-missing-blob.tar"), without(ociLayout(b), blobName(b.layers[0].Digest))); err != nil {
		return err
	}
	// an archive that ends early
	good := filepath.Join(dir, "bad-cut.tar")
	if err := writeTarFile(good, ociLayout(b)); err != nil {
		return err
	}
	fi, err := os.Stat(good)
	if err != nil {
		return err
	}
	if err = os.Truncate(good, fi.Size()*2/3); err != nil {
		return err
	}
	// names that lead out of the archive
	docker, err := dockerArchive(b)
	if err != nil {
		return err
	}
	bad, _ := json.Marshal([]any{map[string]any{
		"Config": "../../../../../../etc/hostname", "RepoTags": []string{"evil/archive:latest"}, "Layers": []string{"../../../../../../etc/hostname"},
	}})
	docker[len(docker)-1] = bytesFile("manifest.json", bad)
	docker = append(docker, bytesFile("../../../../../../tmp/podwright-evil-archive", []byte("out\n")))
	return writeTarFile(filepath.Join(dir, "bad-path.docker.tar"), docker)
}

func without(files []file, name string) (out []file) {
	for _, f := range files {
		if f.name != name {
			out = append(out, f)
		}
	}
	return out
}
