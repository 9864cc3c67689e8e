package darwin

import (
	"errors"
	"fmt"
	"os"

	"github.com/metalrank/metalrank/metal"
)

// metallibVariable names the environment variable with the path of a metallib that replaces every library.
const metallibVariable = "METALRANK_METALLIB"

// library is a metal.Library.
type library struct {
	resource
	precompiled bool // from a metallib
}

// pipeline is a metal.Pipeline.
type pipeline struct {
	resource
	information metal.PipelineInfo
}

// Info implements metal.Pipeline.
func (p *pipeline) Info() metal.PipelineInfo { return p.information }

// NewLibrary implements metal.Device. It loads the metallib that the environment names, or else the source's own. It
// compiles the text where there is neither, and where the source's own doesn't load on this system.
func (d *device) NewLibrary(source metal.Source) (metal.Library, error) {
	if err := d.acquire(); err != nil {
		return nil, err
	}
	defer d.release()
	o, precompiled, err := d.load(source)
	if err != nil {
		return nil, err
	}
	return &library{d.own(o), precompiled}, nil
}

func (d *device) load(source metal.Source) (o object, precompiled bool, err error) {
	if d.metallibPath != "" {
		o, err = d.loadFile(d.metallibPath)
		return o, true, err
	}
	var rejected error
	if len(source.Metallib) > 0 {
		if o, err = d.native.loadLibrary(source.Metallib); err == nil {
			return o, true, nil
		}
		rejected = fmt.Errorf("its metallib: %w", err)
		if source.Text == "" {
			return nil, false, &metal.CompileError{File: source.Name, Log: rejected.Error()}
		}
	}
	if o, err = d.native.compileLibrary(source.Text); err != nil {
		failure := compileError("", source.Name, err)
		if rejected != nil {
			failure.Log = errors.Join(errors.New(failure.Log), rejected).Error()
		}
		return nil, false, failure
	}
	return o, false, nil
}

// loadFile loads the metallib that the environment names. There is no fallback: the user asked for this file.
func (d *device) loadFile(path string) (object, error) {
	metallib, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("metal: %s: %w", metallibVariable, err)
	}
	if len(metallib) == 0 {
		return nil, fmt.Errorf("metal: %s: %s is empty", metallibVariable, path)
	}
	o, err := d.native.loadLibrary(metallib)
	if err != nil {
		return nil, &metal.CompileError{Log: fmt.Sprintf("%s: %s: %v", metallibVariable, path, err)}
	}
	return o, nil
}

// Pipeline implements metal.Library.
func (l *library) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	d := l.device
	if err := d.acquire(); err != nil {
		return nil, err
	}
	defer d.release()
	if err := l.hold(); err != nil {
		return nil, err
	}
	defer l.drop()
	o, info, err := d.native.newPipeline(l.object, kernel, constants)
	if err != nil {
		return nil, compileError(kernel, "", err)
	}
	info.Kernel, info.Precompiled = kernel, l.precompiled
	return &pipeline{resource: d.own(o), information: info}, nil
}
