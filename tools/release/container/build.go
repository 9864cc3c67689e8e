package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	user        = "65532" // as other images without root have it
	source      = "https://github.com/metalrank/metalrank"
	annotations = "org.opencontainers.image."
)

// build makes an OCI archive of one image for each processor in a folder that has the archives for Linux.
func build(folder string) error {
	archives, err := filepath.Glob(filepath.Join(folder, "metalrank-*-linux-*.tar.gz"))
	if err != nil || len(archives) == 0 {
		return errors.Join(err, fmt.Errorf("%s: no archive for Linux", folder))
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	version := ""
	for _, archive := range archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
		before, architecture, _ := strings.Cut(name, "-linux-")
		of := strings.TrimPrefix(before, "metalrank-")
		if version != "" && version != of {
			return fmt.Errorf("%s: archives of %s and of %s", folder, version, of)
		}
		version = of
		image, err := imageOf(archive, name, version, architecture)
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	work, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	path, err := layout.Write(work, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{annotations + "ref.name": version})); err != nil {
		return err
	}
	name := filepath.Join(folder, "metalrank-"+version+"-image.tar")
	if err := tarFolder(work, name); err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err == nil {
		fmt.Printf("%s: %d bytes, for %d processors\n", name, info.Size(), len(archives))
	}
	return err
}

// imageOf makes the image of an archive, of which top is the folder: one layer with the programs, the licences and a user.
func imageOf(archive, top, version, architecture string) (v1.Image, error) {
	plain, created, err := layerOf(archive, top)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(plain)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "./build.sh release image"}}); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", architecture, v1.Time{Time: created}
	config.Config = v1.Config{
		User: user + ":" + user, Entrypoint: []string{"/bin/metalrank"}, Cmd: []string{"serve"}, WorkingDir: "/",
		Env:          []string{"PATH=/bin", "METALRANK_LISTEN=0.0.0.0:8080"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		StopSignal:   "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD", "/bin/metalrank", "serve", "--probe"}, Interval: 10 * time.Second, Timeout: 6 * time.Second, StartPeriod: time.Minute, Retries: 3,
		},
		Labels: map[string]string{
			annotations + "title": "metalrank", annotations + "version": version, annotations + "licenses": "Apache-2.0",
			annotations + "source": source, annotations + "created": created.Format(time.RFC3339),
		},
	}
	return mutate.ConfigFile(image, config)
}

// layerOf returns the files of an archive that an image needs, as a tar, and their date.
func layerOf(archive, top string) (plain []byte, date time.Time, err error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, date, err
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		return nil, date, err
	}
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	add := func(name string, mode int64, data []byte) {
		kind := byte(tar.TypeReg)
		if strings.HasSuffix(name, "/") {
			kind = tar.TypeDir
		}
		err = errors.Join(err, out.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: int64(len(data)), ModTime: date, Format: tar.FormatUSTAR}))
		_, failed := out.Write(data)
		err = errors.Join(err, failed)
	}
	places := map[string]string{
		"bin/metalrank": "bin/metalrank", "bin/metalrank-bulk": "bin/metalrank-bulk", "sbom.cdx.json": "usr/share/doc/metalrank/sbom.cdx.json",
		"LICENSE": "usr/share/doc/metalrank/LICENSE", "NOTICE": "usr/share/doc/metalrank/NOTICE", "LICENSES.txt": "usr/share/doc/metalrank/LICENSES.txt",
	}
	found, folders := 0, map[string]bool{}
	for reader := tar.NewReader(packed); ; {
		header, failed := reader.Next()
		if errors.Is(failed, io.EOF) {
			break
		}
		if failed != nil {
			return nil, date, failed
		}
		place := places[strings.TrimPrefix(header.Name, top+"/")]
		if place == "" {
			continue
		}
		data, failed := io.ReadAll(reader)
		if failed != nil {
			return nil, date, failed
		}
		found++
		date = header.ModTime.UTC()
		for i, r := range place {
			if r == '/' && !folders[place[:i+1]] {
				folders[place[:i+1]] = true
				add(place[:i+1], 0o755, nil)
			}
		}
		add(place, header.Mode, data)
	}
	if found != len(places) {
		return nil, date, fmt.Errorf("it has %d of the %d files of an image", found, len(places))
	}
	add("etc/", 0o755, nil)
	add("etc/passwd", 0o644, fmt.Appendf(nil, "metalrank:x:%s:%s::/tmp:/sbin/nologin\n", user, user))
	add("etc/group", 0o644, fmt.Appendf(nil, "metalrank:x:%s:\n", user))
	add("tmp/", 0o1777, nil)
	return layer.Bytes(), date, errors.Join(err, out.Close())
}

// tarFolder writes the files of a folder as a tar, without dates and owners.
func tarFolder(folder, name string) error {
	var archive bytes.Buffer
	out := tar.NewWriter(&archive)
	root := os.DirFS(folder)
	if err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() {
			return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path.Clean(name) + "/", Mode: 0o755, Format: tar.FormatUSTAR})
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		err = out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR})
		_, failed := out.Write(data)
		return errors.Join(err, failed)
	}); err != nil {
		return err
	}
	return errors.Join(out.Close(), os.WriteFile(name, archive.Bytes(), 0o644))
}
