// A plugin that gives containers the devices and mounts that their pods are annotated with, in the words of the
// reference's plugins/device-injector: YAML lists in "devices.nri.io" and "mounts.nri.io", of the pod ("/pod" or
// nothing) or of one container ("/container.NAME").
//
// Like the template beside it, it is built on the reference's stub.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	"sigs.k8s.io/yaml"
)

type device struct {
	Path     string `json:"path"`
	Type     string `json:"type"`
	Major    int64  `json:"major"`
	Minor    int64  `json:"minor"`
	FileMode uint32 `json:"file_mode"`
	UID      uint32 `json:"uid"`
	GID      uint32 `json:"gid"`
}

type mount struct {
	Source      string   `json:"source"`
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Options     []string `json:"options"`
}

type plugin struct{}

// read fills a list from the annotation nearest to a container.
func read(p *api.PodSandbox, key, container string, into any) error {
	for _, name := range []string{key + "/container." + container, key + "/pod", key} {
		text, ok := p.GetAnnotations()[name]
		if !ok {
			continue
		}
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			return fmt.Errorf("invalid annotation %q: %w", name, err)
		}
		return nil
	}
	return nil
}

func (*plugin) CreateContainer(_ context.Context, p *api.PodSandbox, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	var devices []device
	var mounts []mount
	if err := read(p, "devices.nri.io", c.GetName(), &devices); err != nil {
		return nil, nil, err
	}
	if err := read(p, "mounts.nri.io", c.GetName(), &mounts); err != nil {
		return nil, nil, err
	}
	adjust := &api.ContainerAdjustment{}
	for _, d := range devices {
		one := &api.LinuxDevice{Path: d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor}
		if d.FileMode != 0 {
			one.FileMode = api.FileMode(d.FileMode)
		}
		if d.UID != 0 {
			one.Uid = api.UInt32(d.UID)
		}
		if d.GID != 0 {
			one.Gid = api.UInt32(d.GID)
		}
		adjust.AddDevice(one)
	}
	for _, m := range mounts {
		adjust.AddMount(&api.Mount{Source: m.Source, Destination: m.Destination, Type: m.Type, Options: m.Options})
	}
	return adjust, nil, nil
}

func main() {
	s, err := stub.New(&plugin{})
	if err == nil {
		err = s.Run(context.Background())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "device-injector: %v\n", err)
		os.Exit(1)
	}
}
