package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// A registry is a client of the distribution API.
type registry struct{ url string }

func (r *registry) do(method, u, ctype string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequest(method, u, body)
	if err != nil {
		return nil, err
	}
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	if body != nil {
		req.ContentLength = size
	}
	return http.DefaultClient.Do(req)
}

// blob uploads a blob unless the repository has it.
func (r *registry) blob(repo, digest string, size int64, open func() (io.ReadCloser, error)) error {
	res, err := r.do("HEAD", r.url+"/v2/"+repo+"/blobs/"+digest, "", nil, 0)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode == 200 {
		return nil
	}
	if res, err = r.do("POST", r.url+"/v2/"+repo+"/blobs/uploads/", "", nil, 0); err != nil {
		return err
	}
	res.Body.Close()
	loc, err := res.Location()
	if err != nil {
		return fmt.Errorf("upload to %s: %s: %w", repo, res.Status, err)
	}
	q := loc.Query()
	q.Set("digest", digest)
	loc.RawQuery = q.Encode()
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	if res, err = r.do("PUT", loc.String(), "application/octet-stream", f, size); err != nil {
		return err
	}
	msg, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 201 {
		return fmt.Errorf("put blob %s in %s: %s: %s", digest, repo, res.Status, msg)
	}
	return nil
}

func (r *registry) manifest(repo, ref, ctype string, body []byte) error {
	res, err := r.do("PUT", r.url+"/v2/"+repo+"/manifests/"+ref, ctype, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return err
	}
	msg, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 201 {
		return fmt.Errorf("put manifest %s:%s: %s: %s", repo, ref, res.Status, msg)
	}
	return nil
}

// push uploads what was built of an image. The blobs that are missing are sent
// first, then the manifests, then the tags.
func (r *registry) push(b *built) error {
	for _, bl := range b.blobs {
		if err := r.blob(b.repo, bl.digest, bl.size, bl.open); err != nil {
			return err
		}
	}
	for _, m := range b.manifests {
		if err := r.manifest(b.repo, sum(m.body), m.mediaType, m.body); err != nil {
			return err
		}
	}
	for _, tag := range b.tags {
		if err := r.manifest(b.repo, tag, b.top.mediaType, b.top.body); err != nil {
			return err
		}
	}
	return nil
}
