// Package python runs the peers' scripts of this folder, for programs that measure them: it has the scripts, their
// environment, and the conversion of a checkpoint for the runtimes that want files of their own. It knows no
// measurement.
package python

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
// packages, and calls say before it begins. requests is a file with the workload Calibration in it.
func (k Kit) Prepare(model, requests string, calibration []wire.Request, say func()) (artifacts string, err error) {
	hash := sha256.New()
	script, err := Scripts.ReadFile("prepare.py")
	if err != nil {
		return "", err
	}
	hash.Write(script)
	hash.Write(requirements)
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(model, name))
		if err != nil {
			return "", err
		}
		hash.Write(data)
	}
	if err := wire.WriteRequests(hash, calibration); err != nil {
		return "", err
	}
	artifacts = filepath.Join(k.Cache, "models", hex.EncodeToString(hash.Sum(nil)[:6]))
	if _, err := os.Stat(artifacts); err == nil {
		return artifacts, nil
	}
	say()
	command := k.Command("prepare.py", "--model", model, "--workloads", requests, "--artifacts", artifacts)
	p, err := process.Start(command, nil)
	if err != nil {
		return "", err
	}
	if err := p.Wait(); err != nil {
		return "", fmt.Errorf("prepare.py: %w", err)
	}
	return artifacts, nil
}

// Calibration generates the texts that quantisation is calibrated with.
func Calibration(corpus *workload.Corpus, counter *workload.Counter, seed uint64) ([]wire.Request, error) {
	requests, err := workload.Generate(corpus, counter, workload.Specs(), seed)
	if err != nil {
		return nil, err
	}
	var calibration []wire.Request
	for _, r := range requests {
		if r.Workload == workload.Calibration {
			calibration = append(calibration, r)
		}
	}
	return calibration, nil
}
