package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// pull pulls each image with nothing of it in the store, and then, if asked,
// twenty images with common layers at once.
func (b *bench) pull(ctx context.Context, s *Suite) error {
	for range b.o.Rounds {
		for _, ref := range b.o.PullRefs {
			if err := b.pullOne(ctx, s, ref); err != nil {
				return err
			}
		}
		if b.o.SharedAddr != "" {
			if err := b.pullShared(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) pullOne(ctx context.Context, s *Suite, ref string) error {
	spec := &cri.ImageSpec{Image: ref}
	tag := ref[strings.LastIndexByte(ref, ':')+1:]
	if _, err := b.c.im.RemoveImage(ctx, &cri.RemoveImageRequest{Image: spec}); err != nil {
		return err
	}
	time.Sleep(b.o.Settle) // for the store's garbage collection
	m := startMeter(b.o)
	t := time.Now()
	if _, err := b.c.im.PullImage(ctx, &cri.PullImageRequest{Image: spec}); err != nil {
		m.end()
		return err
	}
	d := time.Since(t)
	cpu, rss, sum := m.end()
	st, err := b.c.im.ImageStatus(ctx, &cri.ImageStatusRequest{Image: spec})
	if err != nil {
		return err
	}
	s.set(tag+" s", d.Seconds())
	s.set(tag+" CPU s", cpu)
	s.set(tag+" daemon peak RSS MiB", float64(rss)/(1<<20))
	s.set(tag+" all processes peak PSS MiB", float64(sum)/(1<<20))
	s.set(tag+" size reported MB", float64(st.Image.GetSize())/1e6)
	t = time.Now()
	if _, err = b.c.im.RemoveImage(ctx, &cri.RemoveImageRequest{Image: spec}); err != nil {
		return err
	}
	s.set(tag+" remove ms", float64(time.Since(t))/1e6)
	if b.o.Stages == "" {
		return nil
	}
	return stages(ctx, s, b.o.Stages, ref, d.Seconds())
}

// stages runs the command that measures each stage of a pull by itself, beside
// the pull that took so many seconds: both saw the same machine.
func stages(ctx context.Context, s *Suite, command, ref string, took float64) error {
	layers, err := layersOf(ctx, ref)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin = strings.NewReader(layers)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("stages: %w: %s", err, errs.String())
	}
	tag := ref[strings.LastIndexByte(ref, ':')+1:]
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 {
			return fmt.Errorf("stages: %q", line)
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return fmt.Errorf("stages: %q", line)
		}
		if line[:at] == "sum s" {
			s.set(tag+" stage sum s", v)
			s.set(tag+" wall by stage sum", took/v)
			continue
		}
		s.set(tag+" stage "+line[:at], v)
	}
	return nil
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	Platform  *struct {
		OS   string `json:"os"`
		Arch string `json:"architecture"`
	} `json:"platform,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
	Manifests     []descriptor `json:"manifests,omitempty"`
}

// layersOf asks a registry of plain HTTP for an image's layers: a line for each,
// "URL DIGEST SIZE DIFF_ID MEDIA_TYPE".
func layersOf(ctx context.Context, ref string) (string, error) {
	host, rest, ok := strings.Cut(ref, "/")
	at := strings.LastIndexByte(rest, ':')
	if !ok || at < 0 {
		return "", fmt.Errorf("%s is no reference with host and tag", ref)
	}
	base := "http://" + host + "/v2/" + rest[:at]
	var m manifest
	if err := getJSON(ctx, base+"/manifests/"+rest[at+1:], &m); err != nil {
		return "", err
	}
	for _, d := range m.Manifests {
		if d.Platform == nil || d.Platform.OS != "linux" || d.Platform.Arch != "amd64" {
			continue
		}
		if err := getJSON(ctx, base+"/manifests/"+d.Digest, &m); err != nil {
			return "", err
		}
		break
	}
	var c struct {
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := getJSON(ctx, base+"/blobs/"+m.Config.Digest, &c); err != nil {
		return "", err
	}
	if len(m.Layers) == 0 || len(c.Rootfs.DiffIDs) != len(m.Layers) {
		return "", errors.New("layers and diff ids do not agree")
	}
	var out strings.Builder
	for i, l := range m.Layers {
		fmt.Fprintf(&out, "%s/blobs/%s %s %d %s %s\n", base, l.Digest, l.Digest, l.Size, c.Rootfs.DiffIDs[i], l.MediaType)
	}
	return out.String(), nil
}

func getJSON(ctx context.Context, url string, into any) error {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	rq.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json")
	rs, err := http.DefaultClient.Do(rq)
	if err != nil {
		return err
	}
	defer rs.Body.Close()
	if rs.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, rs.Status)
	}
	b, err := io.ReadAll(io.LimitReader(rs.Body, 8<<20))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
