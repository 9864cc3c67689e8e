package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// startTimeout is for a slow and busy machine.
const startTimeout = 2 * time.Minute

// try runs the image for each processor, one that this machine has not in QEMU. As root on Linux.
func try(ctx context.Context, path string) (err error) {
	work, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := untar(file, filepath.Join(work, "oci")); err != nil {
		return err
	}
	images, err := imagesIn(filepath.Join(work, "oci"))
	if err != nil {
		return err
	}
	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		if err := tryImage(ctx, image, config, filepath.Join(work, config.Architecture)); err != nil {
			return fmt.Errorf("%s: %w", config.Architecture, err)
		}
	}
	return nil
}

// imagesIn returns the images of the index that an OCI layout has.
func imagesIn(oci string) ([]v1.Image, error) {
	all, err := layout.ImageIndexFromPath(oci)
	if err != nil {
		return nil, err
	}
	indexes, err := partial.FindIndexes(all, match.MediaTypes(string(types.OCIImageIndex)))
	if err != nil || len(indexes) != 1 {
		return nil, errors.Join(err, fmt.Errorf("%d indexes of images, want 1", len(indexes)))
	}
	return partial.FindImages(indexes[0], match.MediaTypes(string(types.OCIManifestSchema1)))
}

// tryImage unpacks an image into root, makes that read-only, and runs the image's command there as its user, with its environment
// alone, until its own health check is content.
func tryImage(ctx context.Context, image v1.Image, config *v1.ConfigFile, root string) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		plain, err := layer.Uncompressed()
		if err != nil {
			return err
		}
		if err := untar(plain, root); err != nil {
			return err
		}
	}
	var emulator []string
	if config.Architecture != runtime.GOARCH {
		emulator = []string{"/qemu"}
		program, err := exec.LookPath("qemu-" + map[string]string{"arm64": "aarch64", "amd64": "x86_64"}[config.Architecture] + "-static")
		if err != nil {
			return fmt.Errorf("%w (Debian: apt-get install qemu-user-static)", err)
		}
		data, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, "qemu"), data, 0o755); err != nil {
			return err
		}
	}
	body, err := serve(ctx, root, emulator, &config.Config)
	if err == nil {
		fmt.Printf("the image for %s runs as its user on a read-only root: its health check is content, /rerank says %s\n", config.Architecture, body)
	}
	return err
}

// serve returns the server's answer to a question.
func serve(ctx context.Context, root string, emulator []string, config *v1.Config) (answer string, err error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	inside := func(args ...string) *exec.Cmd {
		const script = `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec chroot --userspec="$2" "$1" "${@:3}"`
		words := slices.Concat([]string{"--mount", "bash", "-c", script, "bash", root, config.User}, emulator, args)
		command := exec.CommandContext(ctx, "unshare", words...)
		command.Env = append(append([]string{}, config.Env...), "METALRANK_LISTEN="+address)
		return command
	}
	var log bytes.Buffer
	server := inside(append(append([]string{}, config.Entrypoint...), config.Cmd...)...)
	server.Env[0] = "PATH=" + os.Getenv("PATH") // for unshare, mount and chroot
	server.Stderr = &log
	if err := server.Start(); err != nil {
		return "", err
	}
	defer func() {
		if failed := server.Process.Signal(syscall.SIGTERM); failed != nil {
			err = errors.Join(err, failed)
		}
		if failed := server.Wait(); failed != nil {
			err = errors.Join(err, fmt.Errorf("the server: %w\n%s", failed, &log))
		}
	}()
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		health := inside(config.Healthcheck.Test[1:]...)
		health.Env[0] = server.Env[0]
		out, failed := health.CombinedOutput()
		if failed == nil {
			break
		}
		if time.Since(begin) > startTimeout {
			return "", fmt.Errorf("the health check: %w\n%s", failed, out)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.Process.Pid))
	if err != nil {
		return "", err
	}
	if uid, _, _ := strings.Cut(config.User, ":"); !strings.Contains(string(status), "Uid:\t"+uid+"\t") {
		return "", fmt.Errorf("the server is not user %s", config.User)
	}
	return rank(ctx, address)
}

func rank(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/rerank",
		strings.NewReader(`{"query": "opening hours", "texts": ["The shop sells shoes.", "Open nine to six."]}`))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), `[{"index":1,`)) {
		err = fmt.Errorf("/rerank: %s, %.300s", answer.Status, body)
	}
	return string(body), err
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

func untar(from io.Reader, into string) error {
	for archive := tar.NewReader(from); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("a file %s", header.Name)
		}
		full := filepath.Join(into, header.Name)
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(full, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		if err := os.WriteFile(full, data, header.FileInfo().Mode().Perm()); err != nil {
			return err
		}
	}
}
