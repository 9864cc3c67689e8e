package sim

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/msl"
)

//go:embed rt/*.cc rt/*.h shim/*.h shim/include
var sources embed.FS

// flopsCode determines the content of checked objects, as do sources, flags and the code of msl.
//
//go:embed flops.go
var flopsCode string

// builder compiles the runtime and kernels into shared objects in a folder that all processes share.
type builder struct {
	compiler compiler
	folder   string // of compiled objects
	sources  string // folder into which rt/ and shim/ were unpacked
	checked  bool
	base     string // hash of everything but a library's source
}

// newBuilder unpacks the sources and hashes everything that objects depend on, except a library's source.
func newBuilder(config Config) (*builder, error) {
	c, err := findCompiler(config.Compiler)
	if err != nil {
		return nil, err
	}
	folder := config.CacheDir
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("sim: %w; set Config.CacheDir", err)
		}
		folder = filepath.Join(cache, "metalrank", "sim")
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	b := &builder{compiler: c, folder: folder, checked: config.Checked}
	hash, err := b.unpack()
	if err != nil {
		return nil, err
	}
	translator, err := msl.CodeHash()
	if err != nil {
		return nil, err
	}
	flags := slices.Concat(b.kernelFlags(), b.objectFlags(), b.hookFlags(), b.runtimeFlags())
	b.base = key(hash, translator, flopsCode, c.path, c.version, processor(), strings.Join(flags, " "))
	return b, nil
}

// key returns a hash of texts, each with its length, so that two lists with the same concatenation differ.
func key(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(h, "%d %s\n", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// processor describes the CPU: machines that share a home folder may differ in -march=native.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOOS + runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "flags") || strings.HasPrefix(line, "Features") {
			return runtime.GOOS + runtime.GOARCH + line
		}
	}
	return runtime.GOOS + runtime.GOARCH
}

// unpack writes rt/ and shim/ below the folder, once for each version of them, and returns their hash.
func (b *builder) unpack() (string, error) {
	var texts []string
	files := map[string][]byte{}
	err := fs.WalkDir(sources, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := sources.ReadFile(path)
		files[path] = data
		texts = append(texts, path, string(data))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("sim: %w", err)
	}
	hash := key(texts...)
	b.sources = filepath.Join(b.folder, "sources-"+hash)
	return hash, b.install(b.sources, func(folder string) error {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		for path, data := range files {
			target := filepath.Join(folder, filepath.FromSlash(path))
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(target, data, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// install makes target with produce, unless it is there. It is made under another name and then renamed, so that no
// process sees half of it, and several processes that make it at once all succeed.
func (b *builder) install(target string, produce func(path string) error) error {
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	if err := os.MkdirAll(b.folder, 0o755); err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	scratch, err := os.MkdirTemp(b.folder, ".new-")
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // leftovers do no harm
	made := filepath.Join(scratch, "made")
	if err := produce(made); err != nil {
		return err
	}
	if err := os.Rename(made, target); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Stat(target); there != nil { // a folder cannot be renamed onto another
			return fmt.Errorf("sim: %w", err)
		}
	}
	return nil
}

// runtimeObject is the path of the compiled runtime.
func (b *builder) runtimeObject() (string, error) {
	target := filepath.Join(b.folder, "rt-"+b.base+".so")
	return target, b.install(target, func(path string) error {
		files, err := filepath.Glob(filepath.Join(b.sources, "rt", "*.cc"))
		if err != nil {
			return fmt.Errorf("sim: %w", err)
		}
		files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == "hooks.cc" })
		if _, err := b.compiler.run("", slices.Concat(b.runtimeFlags(), files, []string{"-o", path})...); err != nil {
			return fmt.Errorf("sim: the runtime does not compile: %w", err)
		}
		return nil
	})
}

// description holds the facts about a library that the driver needs besides its object; its file lies beside the object.
type description struct {
	Constants []constant
	Kernels   map[string]kernelDescription // by host name
}

type constant struct {
	Name     string
	Type     string
	Index    uint32
	Optional bool // somewhere the source asks whether it is defined
}

type kernelDescription struct {
	Constants []string // that it can reach
}

// libraryObject compiles source, if that was not done before, and returns the path of the object. Errors:
// *metal.CompileError.
func (b *builder) libraryObject(source metal.Source) (string, *description, error) {
	hash := key(b.base, source.Name, source.Text)
	object, about := filepath.Join(b.folder, hash+".so"), filepath.Join(b.folder, hash+".json")
	if data, err := os.ReadFile(about); err == nil {
		var d description
		if _, err := os.Stat(object); err == nil && json.Unmarshal(data, &d) == nil {
			return object, &d, nil
		}
	}
	text, d, err := b.translate(source)
	if err != nil {
		return "", nil, err
	}
	err = b.install(object, func(path string) error { return b.compileKernels(text, path) })
	if err != nil {
		return "", nil, err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return "", nil, fmt.Errorf("sim: %w", err)
	}
	return object, d, b.install(about, func(path string) error { return os.WriteFile(path, data, 0o644) })
}

func (b *builder) compileKernels(text, path string) error {
	if b.checked {
		return b.compileChecked(text, path)
	}
	if _, err := b.compiler.run(text, slices.Concat(b.kernelFlags(), []string{"-x", "c++", "-", "-o", path})...); err != nil {
		return compileError(err.Error(), b.sources)
	}
	return nil
}

// compileChecked has clang optimise and instrument text, adds calls that count arithmetic, and then compiles the result.
func (b *builder) compileChecked(text, path string) error {
	text, err := b.compiler.run(text, slices.Concat(b.kernelFlags(), []string{"-x", "c++", "-", "-S", "-emit-llvm", "-o", "-"})...)
	if err != nil {
		return compileError(err.Error(), b.sources)
	}
	object := slices.Concat(b.objectFlags(), []string{"-x", "ir", "-", "-c", "-o", path + ".o"})
	if _, err := b.compiler.run(countFLOPs(text), object...); err != nil {
		return fmt.Errorf("sim: a checked kernel's second half: %w", err)
	}
	hooks := filepath.Join(b.sources, "rt", "hooks.cc")
	if _, err := b.compiler.run("", slices.Concat(b.hookFlags(), []string{hooks, "-x", "none", path + ".o", "-o", path})...); err != nil {
		return fmt.Errorf("sim: hooks.cc: %w", err)
	}
	return nil
}

// unroll finds the pragmas that keep a GPU's arrays in registers. Here they would only make compiling and running slower: a
// matrix product is a hundred instructions, and arrays on the stack are as fast.
var unroll = regexp.MustCompile(`(?m)^[ \t]*#pragma clang loop unroll\(full\)[ \t]*$`)

// translate turns Metal into C++ for the shim.
func (b *builder) translate(source metal.Source) (string, *description, error) {
	name := source.Name
	if name == "" {
		name = "source"
	}
	include := filepath.Join(b.sources, "shim", "include")
	text, err := b.compiler.run(fmt.Sprintf("#line 1 %q\n%s", name, source.Text),
		"-E", "-x", "c++", "-std=c++20", "-nostdinc", "-I", include, "-")
	if err != nil {
		return "", nil, compileError(err.Error(), b.sources)
	}
	file, err := msl.Parse(unroll.ReplaceAllString(text, ""))
	if err != nil {
		return "", nil, asCompileError(err)
	}
	rewritten, err := file.Rewrite()
	if err != nil {
		return "", nil, asCompileError(err)
	}
	return "#include \"msl.h\"\n" + rewritten, describe(file), nil
}

func asCompileError(err error) error {
	var e *msl.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("sim: %w", err)
	}
	return &metal.CompileError{File: e.Position.File, Line: e.Position.Line, Log: e.Message}
}

func describe(file *msl.File) *description {
	d := &description{Kernels: map[string]kernelDescription{}}
	for _, c := range file.Constants {
		d.Constants = append(d.Constants, constant{c.Name, c.Type, c.Index, c.Optional})
	}
	for _, e := range file.Entries() {
		d.Kernels[e.HostName] = kernelDescription{Constants: e.Kernel.Constants}
	}
	return d
}
