package main

import (
	"archive/tar"
	"fmt"
	"strings"
)

// Every name outside that an evil image aims at begins with this; if such a file
// appears on the host, or one made there beforehand is changed, the image won.
// The targets are harmless ones, for the runtimes that fall for it.
const target = "/tmp/podwright-evil"

const up = "../../../../../../../../../../.."

// evilImages are images that a runtime must refuse, or contain. Each has
// busybox below its evil layer, so that what comes of it can be looked at.
func evilImages(base *layer, conf map[string]any) []image {
	out := func(s string) []byte { return []byte("written from " + s + "\n") }
	mk := func(name string, es ...entry) *layer {
		return &layer{name: "evil-" + name, comp: gz, fill: entries(es...)}
	}
	file := func(name, from string) entry { return entry{name: name, mode: 0o644, body: out(from)} }
	var ims []image
	add := func(name, what string, ls ...*layer) *image {
		ims = append(ims, image{repo: "evil/" + name, tags: []string{"latest"}, what: what, single: true, config: conf,
			layers: append([]*layer{base}, ls...)})
		return &ims[len(ims)-1]
	}

	add("dotdot", "entries "+up+target+"-dotdot and a/../../.."+target+"-dotdot2",
		mk("dotdot", file(strings.TrimPrefix(up+target+"-dotdot", "/"), "dotdot"), entry{name: "a", mode: 0o755, dir: true}, file("a/../../.."+target+"-dotdot2", "dotdot")))
	add("absolute", "an entry "+target+"-absolute, to be made inside the image if at all", mk("absolute", file(target+"-absolute", "absolute")))
	add("symlink", "links to /tmp and "+up+"/tmp, then files through them, in one layer: inside the image's /tmp or refused",
		mk("symlink", entry{name: "abs", sym: "/tmp"}, entry{name: "rel", sym: up + "/tmp"}, entry{name: "two", sym: "abs"},
			file("abs/podwright-evil-symlink-abs", "symlink"), file("rel/podwright-evil-symlink-rel", "symlink"), file("two/podwright-evil-symlink-two", "symlink"),
			entry{name: "abs/podwright-evil-symlink-dir", mode: 0o755, dir: true}))
	add("symlink-layers", "the same, but the links are in the layer below",
		mk("symlink-1", entry{name: "abs", sym: "/tmp"}, entry{name: "rel", sym: up + "/tmp"}),
		mk("symlink-2", file("abs/podwright-evil-symlink-layers-abs", "symlink-layers"), file("rel/podwright-evil-symlink-layers-rel", "symlink-layers")))
	add("symlink-file", "a link to "+target+"-symlink-file, then a file of the link's own name: replaces the link",
		mk("symlink-file", entry{name: "f", sym: target + "-symlink-file"}, file("f", "symlink-file")))
	add("hardlink", "a hard link to "+up+target+"-hardlink, then content under the link's name",
		mk("hardlink", entry{name: "h", mode: 0o666, link: strings.TrimPrefix(up+target+"-hardlink", "/")}, file("h", "hardlink")))
	add("hardlink-absolute", "a hard link to "+target+"-hardlink, with mode 4777",
		mk("hardlink-absolute", entry{name: "h", mode: 0o4777, link: target + "-hardlink"}))
	add("hardlink-symlink", "a hard link to abs/podwright-evil-hardlink, where abs is a link to /tmp",
		mk("hardlink-symlink", entry{name: "abs", sym: "/tmp"}, entry{name: "h", mode: 0o666, link: "abs/podwright-evil-hardlink"}, file("h", "hardlink-symlink")))
	add("whiteout", "whiteouts of '..', '.' and of a file through a link to /tmp: "+target+"-whiteout must stay",
		mk("whiteout", entry{name: "d", mode: 0o755, dir: true}, entry{name: "d/.wh..."}, entry{name: "d/.wh.."}, entry{name: ".wh..."},
			entry{name: "abs", sym: "/tmp"}, entry{name: "abs/.wh.podwright-evil-whiteout"}))
	add("opaque", "an opaque marker through a link to "+target+"-dir, whose content must stay",
		mk("opaque", entry{name: "abs", sym: target + "-dir"}, entry{name: "abs/.wh..wh..opq"}))
	add("overlay", "overlayfs's own marks: attributes trusted.overlay.* and user.overlay.* and devices 0, 0; not to be taken for more than files",
		mk("overlay",
			entry{name: "bin2", mode: 0o755, dir: true, xattr: map[string]string{"trusted.overlay.redirect": "/root", "trusted.overlay.opaque": "y"}},
			entry{name: "bin3", mode: 0o755, dir: true, xattr: map[string]string{"user.overlay.opaque": "y", "trusted.overlay.metacopy": ""}},
			entry{name: "bin/sh", mode: 0o666, white: true}))
	devs := []entry{{name: "mem", mode: 0o666, char: [2]int64{1, 1}}, {name: "disk", mode: 0o666, block: [2]int64{254, 0}}, {name: "disk8", mode: 0o666, block: [2]int64{8, 0}}}
	for i := range 10000 {
		devs = append(devs, entry{name: fmt.Sprintf("devs/%d", i), mode: 0o666, char: [2]int64{int64(i % 4096), int64(i)}})
	}
	add("devices", "/mem, /disk and 10,000 devices, all mode 0666: useless in a container", mk("devices", devs...))
	add("longname", "a name of 300 bytes and a path of 10,000",
		mk("longname", file(strings.Repeat("n", 300), "longname"), file(strings.Repeat("d/", 5000)+"f", "longname")))
	add("conflict", "a file where a directory was, and files below a file",
		mk("conflict", file("x", "conflict"), file("x/y", "conflict"), file("bin", "conflict"), entry{name: "usr/bin", link: "x"}))
	add("loop", "links that lead to each other, and a file through them",
		mk("loop", entry{name: "p", sym: "q"}, entry{name: "q", sym: "p"}, file("p/f", "loop"), entry{name: "self", link: "self"}))

	many := &layer{name: "evil-entries", comp: gz, keep: true, fill: func(tw *tar.Writer) error {
		for i := range 2_000_000 {
			h := &tar.Header{Name: fmt.Sprintf("e/%03x/%03x", i>>11, i&0x7ff), Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
			if err := tw.WriteHeader(h); err != nil {
				return err
			}
		}
		return nil
	}}
	add("entries", "2,000,000 empty files: 1 GB of tar, 20 MB compressed", many)
	zeros := &layer{name: "evil-zeros", comp: gz, keep: true, fill: func(tw *tar.Writer) error {
		const size = 4 << 30
		if err := tw.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Typeflag: tar.TypeReg, Size: size, Format: tar.FormatPAX}); err != nil {
			return err
		}
		buf := make([]byte, 1<<20)
		for n := 0; n < size; n += len(buf) {
			if _, err := tw.Write(buf); err != nil {
				return err
			}
		}
		return nil
	}}
	add("zeros", "a file of 4 GiB of zeros, 4 MB compressed", zeros)
	add("pax", "an extended attribute of 900 kB: more than a file system takes", mk("pax", entry{name: "f", mode: 0o644, xattr: map[string]string{"user.big": strings.Repeat("x", 900_000)}}))

	cut := mk("cut-tar", file("first", "truncated"), entry{name: "second", mode: 0o644, body: make([]byte, 1<<16)})
	cut.mangle = cutTar
	add("truncated", "the tar ends within an entry; stream and digests are right", cut)
	cutz := mk("cut-stream", file("first", "truncated-stream"), entry{name: "second", mode: 0o644, body: []byte(strings.Repeat("0123456789abcdef", 1<<12))})
	cutz.mangle = cutStream
	add("truncated-stream", "the gzip stream ends early; the blob's digest is right", cutz)
	garbage := mk("garbage", file("first", "garbage"))
	garbage.mangle = func(l *layer) error { return l.replace([]byte(strings.Repeat("no gzip at all\n", 100))) }
	add("garbage", "the layer is no gzip stream", garbage)

	mark := mk("mark", file("mark", "mark"))
	zero := "sha256:" + strings.Repeat("0", 64)
	diffIDs := func(cfg map[string]any, f func([]string) []string) {
		root := cfg["rootfs"].(map[string]any)
		root["diff_ids"] = f(append([]string(nil), root["diff_ids"].([]string)...))
	}
	add("diffid", "the config has a wrong diff id for the second layer", mark).spoil = func(cfg map[string]any, _ *manifest) {
		diffIDs(cfg, func(d []string) []string { d[1] = zero; return d })
	}
	add("diffid-count", "the config has one diff id for two layers", mark).spoil = func(cfg map[string]any, _ *manifest) {
		diffIDs(cfg, func(d []string) []string { return d[:1] })
	}
	add("diffid-path", "the config's diff id is sha256:../../../../tmp/podwright-evil-diffid", mark).spoil = func(cfg map[string]any, _ *manifest) {
		diffIDs(cfg, func(d []string) []string { d[1] = "sha256:../../../.." + target + "-diffid"; return d })
	}
	add("size", "the manifest gives the second layer one byte less than it has", mark).spoil = func(_ map[string]any, m *manifest) { m.Layers[1].Size-- }
	add("mediatype", "the second layer has an unknown media type", mark).spoil = func(_ map[string]any, m *manifest) {
		m.Layers[1].MediaType = "application/vnd.example.layer"
	}
	add("lying-mediatype", "a gzip layer that calls itself zstd", mark).spoil = func(_ map[string]any, m *manifest) {
		m.Layers[1].MediaType = ociLayer + "+zstd"
	}
	win := add("platform", "an index with windows/amd64 only", mark)
	win.single, win.only = false, "windows/amd64"
	add("foreign", "a bare manifest whose config says s390x", mark).spoil = func(cfg map[string]any, _ *manifest) { cfg["architecture"] = "s390x" }
	add("user", "the config's user is not in the image", mark).config = with(conf, "User", "nobody-knows:nor-this")
	add("env", "the config's environment has malformed entries and a 200 kB one", mark).config =
		with(conf, "Env", []string{"PATH=/bin", "=x", "NOEQUALS", "BIG=" + strings.Repeat("x", 200_000), ""})
	var deep []*layer
	for range 600 {
		deep = append(deep, mark)
	}
	add("layers", "600 layers", deep...)
	return ims
}

// with is a config with one more key.
func with(conf map[string]any, k string, v any) map[string]any {
	m := map[string]any{k: v}
	for key, val := range conf {
		if key != k {
			m[key] = val
		}
	}
	return m
}
