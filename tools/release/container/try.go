package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
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
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// startTimeout is for a slow and busy machine.
const startTimeout = 2 * time.Minute

// try unpacks the image for this processor, makes its root read-only, and runs its command there as its user, with its
// environment alone, until its own health check is content. As root on Linux.
func try(ctx context.Context, path string) (err error) {
	work, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	oci, root := filepath.Join(work, "oci"), filepath.Join(work, "root")
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := untar(file, oci); err != nil {
		return err
	}
	image, err := find(oci)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		packed, err := layer.Compressed()
		if err != nil {
			return err
		}
		plain, err := gzip.NewReader(packed)
		if err != nil {
			return err
		}
		if err := untar(plain, root); err != nil {
			return err
		}
	}
	return serve(ctx, root, &config.Config)
}

// find returns the image for this processor.
func find(oci string) (v1.Image, error) {
	folder, err := layout.FromPath(oci)
	if err != nil {
		return nil, err
	}
	index, err := folder.ImageIndex()
	for err == nil {
		manifest, failed := index.IndexManifest()
		if failed != nil {
			return nil, failed
		}
		for _, m := range manifest.Manifests {
			if m.Platform != nil && m.Platform.Architecture == runtime.GOARCH {
				return index.Image(m.Digest)
			}
		}
		if len(manifest.Manifests) == 0 {
			break
		}
		index, err = index.ImageIndex(manifest.Manifests[0].Digest)
	}
	return nil, errors.Join(err, fmt.Errorf("no image for %s", runtime.GOARCH))
}

func serve(ctx context.Context, root string, config *v1.Config) (err error) {
	port, err := freePort()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	inside := func(args ...string) *exec.Cmd {
		script := `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec chroot --userspec="$2" "$@"`
		script = strings.Replace(script, `"$@"`, `"$1" "${@:3}"`, 1)
		command := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "bash", "-c", script, "bash", root, config.User}, args...)...)
		command.Env = append(append([]string{}, config.Env...), "METALRANK_LISTEN="+address)
		return command
	}
	var log bytes.Buffer
	server := inside(append(append([]string{}, config.Entrypoint...), config.Cmd...)...)
	server.Env[0] = "PATH=" + os.Getenv("PATH") // for unshare, mount and chroot
	server.Stderr = &log
	if err := server.Start(); err != nil {
		return err
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
			return fmt.Errorf("the health check: %w\n%s", failed, out)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.Process.Pid))
	if err != nil {
		return err
	}
	if want := "Uid:\t" + strings.Replace(config.User, ":", "", 1)[:len(user)] + "\t"; !strings.Contains(string(status), want) {
		return fmt.Errorf("the server is not user %s", config.User)
	}
	return rank(ctx, address)
}

func rank(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/rerank",
		strings.NewReader(`{"query": "opening hours", "texts": ["The shop sells shoes.", "Open nine to six."]}`))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), `[{"index":1,`)) {
		err = fmt.Errorf("/rerank: %s, %.300s", answer.Status, body)
	}
	if err == nil {
		fmt.Printf("the image runs as its user on a read-only root: its health check is content, /rerank says %s\n", body)
	}
	return err
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
