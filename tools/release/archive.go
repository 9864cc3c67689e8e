package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/internal/outfile"
)

// A file is one of an archive's.
type file struct {
	data    []byte
	program bool
}

// writeArchive writes a compressed tar. The files, by their paths, lie in a folder; they have the date (RFC 3339), and no owner.
func writeArchive(name, folder string, files map[string]file, date string) error {
	when, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return err
	}
	return outfile.Write(name, func(w io.Writer) error {
		packed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		archive := tar.NewWriter(packed)
		folders := map[string]bool{}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			full := path.Join(folder, name)
			if err := writeFolders(archive, folders, path.Dir(full), when); err != nil {
				return err
			}
			mode := int64(0o644)
			if files[name].program {
				mode = 0o755
			}
			if err := archive.WriteHeader(&tar.Header{
				Typeflag: tar.TypeReg, Name: full, Size: int64(len(files[name].data)), Mode: mode, ModTime: when.UTC(), Format: tar.FormatUSTAR,
			}); err != nil {
				return err
			}
			if _, err := archive.Write(files[name].data); err != nil {
				return err
			}
		}
		return errors.Join(archive.Close(), packed.Close())
	})
}

// writeFolders writes those that written lacks of a path's.
func writeFolders(archive *tar.Writer, written map[string]bool, name string, when time.Time) error {
	if name == "." || written[name] {
		return nil
	}
	if err := writeFolders(archive, written, path.Dir(name), when); err != nil {
		return err
	}
	written[name] = true
	return archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: when.UTC(), Format: tar.FormatUSTAR,
	})
}

// checksums returns a line for each file, as sha256sum has them.
func checksums(paths []string) (string, error) {
	var lines strings.Builder
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(data), filepath.Base(path))
	}
	return lines.String(), nil
}
