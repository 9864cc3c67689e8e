// Package python runs the peers' scripts of this folder, for programs that measure them: it has the scripts, their
// environment, and the conversion of a checkpoint for the runtimes that want files of their own. It knows no
// measurement.
package python

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/metalrank/metalrank/tools/bench/peers/wire"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
	"github.com/metalrank/metalrank/tools/fetched"
	"github.com/metalrank/metalrank/tools/process"
)

// Scripts are the Python files of this folder.
//
//go:embed *.py
var Scripts embed.FS

//go:embed requirements.txt
var requirements []byte

// Environment is the virtual environment that the scripts run in.
var Environment = fetched.Environment{
	Requirements: requirements, About: "onnxruntime, OpenVINO, PyTorch and MLX: some minutes, and 5 GB",
}

// Kit has the settings that the scripts run with.
type Kit struct {
	Interpreter string // of Environment
	Folder      string // of the scripts
	Cache       string // folder for converted models, and for compilers
	Threads     int    // that a peer may use
}

// Command returns a command that runs a script of the folder.
func (k Kit) Command(script string, args ...string) *exec.Cmd {
	command := exec.Command(k.Interpreter, append([]string{filepath.Join(k.Folder, script)}, args...)...) //nolint:noctx // it ends with its input
	threads := strconv.Itoa(k.Threads)
	command.Env = append(os.Environ(),
		"OMP_NUM_THREADS="+threads, "OPENBLAS_NUM_THREADS="+threads, "RAYON_NUM_THREADS="+threads,
		"TOKENIZERS_PARALLELISM=true", "HF_HUB_OFFLINE=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore",
		"TORCHINDUCTOR_CACHE_DIR="+filepath.Join(k.Cache, "inductor"))
	return command
}

// Prepare returns the folder of the converted model. It converts once for a checkpoint, calibration texts, script and
// packages, and calls say before it begins. Quantisation is calibrated with so many texts of the workload Calibration of
// requests; 0: with as many as the script takes.
func (k Kit) Prepare(model string, requests []wire.Request, samples int, say func()) (artifacts string, err error) {
	requests = slices.DeleteFunc(slices.Clone(requests), func(r wire.Request) bool { return r.Workload != workload.Calibration })
	hash := sha256.New()
	script, err := Scripts.ReadFile("prepare.py")
	if err != nil {
		return "", err
	}
	hash.Write(script)
	hash.Write(requirements)
	fmt.Fprint(hash, samples)
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(model, name))
		if err != nil {
			return "", err
		}
		hash.Write(data)
	}
	if err := wire.WriteRequests(hash, requests); err != nil {
		return "", err
	}
	artifacts = filepath.Join(k.Cache, "models", hex.EncodeToString(hash.Sum(nil)[:6]))
	if _, err := os.Stat(artifacts); err == nil {
		return artifacts, nil
	}
	file, err := os.CreateTemp("", "calibration-*.jsonl")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	if err := errors.Join(wire.WriteRequests(file, requests), file.Close()); err != nil {
		return "", err
	}
	say()
	args := []string{"--model", model, "--workloads", file.Name(), "--artifacts", artifacts}
	if samples > 0 {
		args = append(args, "--samples", strconv.Itoa(samples))
	}
	command := k.Command("prepare.py", args...)
	p, err := process.Start(command, nil)
	if err != nil {
		return "", err
	}
	if err := p.Wait(); err != nil {
		return "", fmt.Errorf("prepare.py: %w", err)
	}
	return artifacts, nil
}
