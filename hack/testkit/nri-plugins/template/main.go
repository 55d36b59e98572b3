// A plugin that takes every event and changes nothing: it says what it is told, one line each, on standard error.
//
// It stands for the reference's plugins/template, which has no version that a module proxy serves; it is built on the
// reference's own stub, so that all that goes over the wire is the reference's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

type plugin struct{}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func pod(event string, p *api.PodSandbox) error {
	say("%s %s/%s", event, p.GetNamespace(), p.GetName())
	return nil
}

func container(event string, p *api.PodSandbox, c *api.Container) error {
	say("%s %s/%s/%s %s", event, p.GetNamespace(), p.GetName(), c.GetName(), c.GetState())
	return nil
}

func (*plugin) Configure(_ context.Context, config, runtime, version string) (stub.EventMask, error) {
	say("Configure %s %s %q", runtime, version, config)
	return 0, nil
}

func (*plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	say("Synchronize %d pods, %d containers", len(pods), len(containers))
	for _, p := range pods {
		say("Pod %s/%s %v", p.GetNamespace(), p.GetName(), p.GetIps())
	}
	for _, c := range containers {
		say("Container %s %s %v", c.GetName(), c.GetState(), c.GetArgs())
	}
	return nil, nil
}

func (*plugin) Shutdown(context.Context) { say("Shutdown") }

func (*plugin) RunPodSandbox(_ context.Context, p *api.PodSandbox) error {
	return pod("RunPodSandbox", p)
}
func (*plugin) UpdatePodSandbox(_ context.Context, p *api.PodSandbox, _, _ *api.LinuxResources) error {
	return pod("UpdatePodSandbox", p)
}
func (*plugin) PostUpdatePodSandbox(_ context.Context, p *api.PodSandbox) error {
	return pod("PostUpdatePodSandbox", p)
}
func (*plugin) StopPodSandbox(_ context.Context, p *api.PodSandbox) error {
	return pod("StopPodSandbox", p)
}
func (*plugin) RemovePodSandbox(_ context.Context, p *api.PodSandbox) error {
	return pod("RemovePodSandbox", p)
}
func (*plugin) CreateContainer(_ context.Context, p *api.PodSandbox, c *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	return nil, nil, container("CreateContainer", p, c)
}
func (*plugin) PostCreateContainer(_ context.Context, p *api.PodSandbox, c *api.Container) error {
	return container("PostCreateContainer", p, c)
}
func (*plugin) StartContainer(_ context.Context, p *api.PodSandbox, c *api.Container) error {
	return container("StartContainer", p, c)
}
func (*plugin) PostStartContainer(_ context.Context, p *api.PodSandbox, c *api.Container) error {
	return container("PostStartContainer", p, c)
}
func (*plugin) UpdateContainer(_ context.Context, p *api.PodSandbox, c *api.Container, r *api.LinuxResources) ([]*api.ContainerUpdate, error) {
	say("Resources %d", r.GetCpu().GetShares().GetValue())
	return nil, container("UpdateContainer", p, c)
}
func (*plugin) PostUpdateContainer(_ context.Context, p *api.PodSandbox, c *api.Container) error {
	return container("PostUpdateContainer", p, c)
}
func (*plugin) StopContainer(_ context.Context, p *api.PodSandbox, c *api.Container) ([]*api.ContainerUpdate, error) {
	return nil, container("StopContainer", p, c)
}
func (*plugin) RemoveContainer(_ context.Context, p *api.PodSandbox, c *api.Container) error {
	return container("RemoveContainer", p, c)
}
func (*plugin) ValidateContainerAdjustment(_ context.Context, r *api.ValidateContainerAdjustmentRequest) error {
	owner, _ := r.GetOwners().DeviceOwner(r.GetContainer().GetId(), "/dev/injected")
	say("Validate %s %q", r.GetContainer().GetName(), owner)
	return nil
}

func main() {
	name := flag.String("name", "", "name of the plugin")
	index := flag.String("idx", "", "its two digits")
	socket := flag.String("socket", "", "where to register, instead of the usual place")
	flag.Parse()
	opts := []stub.Option{stub.WithOnClose(func() { say("Closed") })}
	if *name != "" {
		opts = append(opts, stub.WithPluginName(*name), stub.WithPluginIdx(*index))
	}
	if *socket != "" {
		opts = append(opts, stub.WithSocketPath(*socket))
	}
	s, err := stub.New(&plugin{}, opts...)
	if err != nil {
		say("no plugin: %v", err)
		os.Exit(1)
	}
	if err := s.Run(context.Background()); err != nil {
		say("ended: %v", err)
		os.Exit(1)
	}
}
