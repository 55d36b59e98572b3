package main

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// tree writes the directory tree at root, as it is but for owners and times.
func tree(root string) func(*tar.Writer) error {
	return func(tw *tar.Writer) error {
		return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || p == root {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			link := ""
			if info.Mode()&fs.ModeSymlink != 0 {
				if link, err = os.Readlink(p); err != nil {
					return err
				}
			}
			h, err := tar.FileInfoHeader(info, link)
			if err != nil {
				return err
			}
			h.Name, _ = filepath.Rel(root, p)
			if d.IsDir() {
				h.Name += "/"
			}
			h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
			h.ModTime, h.AccessTime, h.ChangeTime = epoch, time.Time{}, time.Time{}
			h.Format = tar.FormatPAX
			if err = tw.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
				return err
			}
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(tw, f)
			return err
		})
	}
}

// busyboxFiles is the root file system of the busybox image. Applets are hard
// links, as in the official image: a mask over /bin/ls must hide ls only.
func busyboxFiles(bin string) ([]entry, error) {
	body, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	out, err := exec.Command(bin, "--list").Output()
	if err != nil {
		return nil, err
	}
	es := []entry{
		{name: "bin", mode: 0o755, dir: true},
		{name: "bin/busybox", mode: 0o755, body: body},
	}
	applets := strings.Fields(string(out))
	sort.Strings(applets)
	for _, a := range applets {
		if a != "busybox" {
			es = append(es, entry{name: "bin/" + a, mode: 0o755, link: "bin/busybox"})
		}
	}
	for _, d := range []string{"dev", "etc", "home", "proc", "sys", "usr", "usr/bin", "usr/sbin", "var", "var/log", "var/run", "var/www"} {
		es = append(es, entry{name: d, mode: 0o755, dir: true})
	}
	return append(es,
		entry{name: "root", mode: 0o700, dir: true},
		entry{name: "tmp", mode: 0o1777, dir: true},
		entry{name: "usr/bin/env", mode: 0o755, link: "bin/busybox"},
		entry{name: "etc/passwd", mode: 0o644, body: []byte(passwd)},
		entry{name: "etc/group", mode: 0o644, body: []byte(group)},
		entry{name: "etc/shadow", mode: 0o640, body: []byte("root:*:::::::\n")},
	), nil
}

const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
`

const group = `root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
users:x:100:
nogroup:x:65534:
`
