package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// epoch is the time stamped on every entry made here.
var epoch = time.Unix(1700000000, 0).UTC()

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

// A compression is how a layer's tar is packed; it ends the media type's name.
type compression string

const (
	gz     compression = "gzip"
	zst    compression = "zstd"
	plain  compression = ""
	extGz              = ".tar.gz"
	extZst             = ".tar.zst"
	extTar             = ".tar"
)

func (c compression) ext() string {
	switch c {
	case gz:
		return extGz
	case zst:
		return extZst
	}
	return extTar
}

// A layer is a tar in a file, compressed or not. It is made when first asked for.
type layer struct {
	name   string
	comp   compression
	keep   bool                    // costly to make: keep it from one run to the next
	fill   func(*tar.Writer) error // writes the entries
	mangle func(*layer) error      // spoils what was made, for the images that must be refused

	path   string // the blob
	Digest string `json:"digest"` // of the blob
	Size   int64  `json:"size"`
	DiffID string `json:"diff_id"` // of the tar
	Raw    int64  `json:"raw"`     // size of the tar
	made   bool
}

// counter counts and hashes what is written to it.
type counter struct {
	h hash.Hash
	n int64
}

func newCounter() *counter { return &counter{h: sha256.New()} }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.h.Write(p)
}

func (c *counter) digest() string { return "sha256:" + hex.EncodeToString(c.h.Sum(nil)) }

// A compressor is a writer whose Close says whether all went well.
type compressor struct {
	io.WriteCloser
	wait func() error
}

func (c compressor) Close() error {
	if err := c.WriteCloser.Close(); err != nil {
		return err
	}
	return c.wait()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// compress packs what is written to the result into out. zstd is a program, as
// the standard library has none.
func compress(c compression, out io.Writer) (io.WriteCloser, error) {
	switch c {
	case gz:
		w, err := gzip.NewWriterLevel(out, gzip.DefaultCompression)
		return w, err
	case zst:
		cmd := exec.Command("zstd", "-q", "-3", "-T0", "-c")
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		return compressor{in, cmd.Wait}, cmd.Start()
	}
	return nopCloser{out}, nil
}

// make writes the layer into dir, or finds it there.
func (l *layer) make(dir string) error {
	if l.made {
		return nil
	}
	l.path = filepath.Join(dir, l.name+l.comp.ext())
	if l.keep {
		if b, err := os.ReadFile(l.path + ".json"); err == nil && json.Unmarshal(b, l) == nil {
			if fi, err := os.Stat(l.path); err == nil && fi.Size() == l.Size {
				l.made = true
				return nil
			}
		}
	}
	if err := l.write(); err != nil {
		return fmt.Errorf("layer %s: %w", l.name, err)
	}
	if l.mangle != nil {
		if err := l.mangle(l); err != nil {
			return fmt.Errorf("layer %s: %w", l.name, err)
		}
	}
	l.made = true
	if l.keep {
		b, _ := json.Marshal(l)
		return os.WriteFile(l.path+".json", b, 0o644)
	}
	return nil
}

func (l *layer) write() error {
	f, err := os.Create(l.path)
	if err != nil {
		return err
	}
	defer f.Close()
	blob, raw := newCounter(), newCounter()
	comp, err := compress(l.comp, io.MultiWriter(f, blob))
	if err != nil {
		return err
	}
	tw := tar.NewWriter(io.MultiWriter(comp, raw))
	if err = l.fill(tw); err != nil {
		return err
	}
	if err = tw.Close(); err != nil {
		return err
	}
	if err = comp.Close(); err != nil {
		return err
	}
	l.Digest, l.Size, l.DiffID, l.Raw = blob.digest(), blob.n, raw.digest(), raw.n
	return f.Close()
}

// replace puts other bytes in the blob's place.
func (l *layer) replace(body []byte) error {
	l.Digest, l.Size = sum(body), int64(len(body))
	return os.WriteFile(l.path, body, 0o644)
}

// tar reads the layer's tar, decompressed.
func (l *layer) tar() ([]byte, error) {
	b, err := os.ReadFile(l.path)
	if err != nil {
		return nil, err
	}
	switch l.comp {
	case gz:
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case zst:
		cmd := exec.Command("zstd", "-q", "-d", "-c")
		cmd.Stdin = bytes.NewReader(b)
		return cmd.Output()
	}
	return b, nil
}

// pack compresses bytes on their own.
func pack(c compression, body []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := compress(c, &out)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(body); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// inMembers packs the tar as several gzip members or zstd frames, between the
// latter a skippable one: all of it is one valid stream.
func inMembers(l *layer) error {
	raw, err := l.tar()
	if err != nil {
		return err
	}
	var out []byte
	for n := len(raw)/3 + 1; len(raw) > 0; {
		n = min(n, len(raw))
		part, err := pack(l.comp, raw[:n])
		if err != nil {
			return err
		}
		if l.comp == zst {
			out = append(out, 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 's', 'k', 'i', 'p')
		}
		out, raw = append(out, part...), raw[n:]
	}
	return l.replace(out)
}

// cutTar ends the tar in the middle of an entry: the compressed stream is whole
// and all digests are right.
func cutTar(l *layer) error {
	raw, err := l.tar()
	if err != nil {
		return err
	}
	raw = raw[:len(raw)/2/512*512+100]
	l.DiffID, l.Raw = sum(raw), int64(len(raw))
	body, err := pack(l.comp, raw)
	if err != nil {
		return err
	}
	return l.replace(body)
}

// cutStream ends the compressed stream early: the blob's digest is right.
func cutStream(l *layer) error {
	b, err := os.ReadFile(l.path)
	if err != nil {
		return err
	}
	return l.replace(b[:len(b)*2/3])
}

// An entry is a file of a layer made in memory.
type entry struct {
	name  string
	mode  int64
	body  []byte
	link  string // hard link to that name
	sym   string // symbolic link to that name
	dir   bool
	fifo  bool
	char  [2]int64 // character device with these numbers, if not 0, 0
	block [2]int64
	white bool // character device 0, 0: what overlayfs itself takes for a whiteout
	uid   int
	gid   int
	mtime time.Time
	xattr map[string]string
}

func (e entry) header() *tar.Header {
	h := &tar.Header{Name: e.name, Mode: e.mode, ModTime: epoch, Uid: e.uid, Gid: e.gid, Format: tar.FormatPAX}
	if !e.mtime.IsZero() {
		h.ModTime = e.mtime
	}
	if len(e.xattr) > 0 {
		h.PAXRecords = map[string]string{}
		for k, v := range e.xattr {
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
	}
	switch {
	case e.dir:
		h.Typeflag, h.Name = tar.TypeDir, strings.TrimSuffix(e.name, "/")+"/"
	case e.link != "":
		h.Typeflag, h.Linkname = tar.TypeLink, e.link
	case e.sym != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.sym
	case e.fifo:
		h.Typeflag = tar.TypeFifo
	case e.white || e.char != [2]int64{}:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, e.char[0], e.char[1]
	case e.block != [2]int64{}:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, e.block[0], e.block[1]
	default:
		h.Typeflag, h.Size = tar.TypeReg, int64(len(e.body))
	}
	return h
}

func entries(es ...entry) func(*tar.Writer) error {
	return func(tw *tar.Writer) error {
		for _, e := range es {
			h := e.header()
			if err := tw.WriteHeader(h); err != nil {
				return err
			}
			if h.Typeflag == tar.TypeReg {
				if _, err := tw.Write(e.body); err != nil {
					return err
				}
			}
		}
		return nil
	}
}
