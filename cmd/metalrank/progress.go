package main

import (
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress is a bar on standard error, if that is a terminal; mpb checks that.
type progress struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func newProgress(std streams) *progress {
	container := mpb.New(mpb.WithOutput(std.err), mpb.WithWidth(50))
	return &progress{container, container.AddBar(0,
		mpb.PrependDecorators(decor.CountersKiloByte("% .1f of % .1f")),
		mpb.AppendDecorators(decor.Percentage(), decor.EwmaSpeed(decor.SizeB1000(0), "  % .1f", 30)),
	)}
}

// set moves the bar; it may be called from several goroutines.
func (p *progress) set(done, total int64) {
	p.bar.SetTotal(total, false)
	p.bar.SetCurrent(done)
}

// finish leaves the bar as it is, or removes it.
func (p *progress) finish(whole bool) {
	if whole {
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(true)
	}
	p.container.Wait()
}
