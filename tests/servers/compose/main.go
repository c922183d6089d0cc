// Reads a compose file as `docker compose config` would (the specification's own loader and schema), checks what the
// specification leaves open, and writes the files that the compose file holds inline into a folder, for their own tools.
//
// usage: compose docker-compose.yml FOLDER
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: compose FILE FOLDER")
		os.Exit(2)
	}
	faults, project := check(os.Args[1])
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, os.Args[1]+": "+fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
	for name, config := range project.Configs {
		if config.Content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(os.Args[2], name), []byte(config.Content), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Printf("%s: %d services hold\n", os.Args[1], len(project.AllServices()))
}

func check(path string) ([]string, *types.Project) {
	// The environment is left out: the file must be whole without one.
	options, err := cli.NewProjectOptions([]string{path}, cli.WithProfiles([]string{"*"}), cli.WithConsistency(true))
	if err != nil {
		return []string{err.Error()}, nil
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return []string{err.Error()}, nil
	}
	var faults []string
	fault := func(service, format string, values ...any) {
		faults = append(faults, "service "+service+": "+fmt.Sprintf(format, values...))
	}
	published := map[string]string{}
	used := map[string]bool{}
	for name, service := range project.AllServices() {
		tag := service.Image[strings.LastIndex(service.Image, "/")+1:]
		if !strings.Contains(tag, ":") || strings.HasSuffix(tag, ":latest") {
			fault(name, "image %q is not pinned to a version", service.Image)
		}
		for _, port := range service.Ports {
			if host := net.ParseIP(port.HostIP); host == nil || !host.IsLoopback() {
				fault(name, "port %s is published beyond this machine: the passwords in here are known", port.Published)
			}
			if other, taken := published[port.Published]; taken {
				fault(name, "port %s is also published by %s", port.Published, other)
			}
			published[port.Published] = name
		}
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeVolume {
				used["volume "+volume.Source] = true
			} else if _, err := os.Stat(volume.Source); err != nil {
				fault(name, "mounts what does not exist: %s", volume.Source)
			}
		}
		for _, config := range service.Configs {
			used["config "+config.Source] = true
		}
		if service.Build != nil {
			if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
				fault(name, "builds from what does not exist: %v", err)
			}
		}
	}
	for name := range project.Volumes {
		if !used["volume "+name] {
			faults = append(faults, "volume "+name+" is used by nobody")
		}
	}
	for name := range project.Configs {
		if !used["config "+name] {
			faults = append(faults, "config "+name+" is used by nobody")
		}
	}
	return faults, project
}
