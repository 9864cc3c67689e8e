package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// fileInterval is how often the files of loaded models are looked at.
const fileInterval = 10 * time.Second

// watchFiles logs changes of the models' files, until stop is called.
func watchFiles(models served, logger *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(fileInterval)
		defer ticker.Stop()
		said := map[string]string{}
		for {
			select {
			case <-ticker.C:
				for _, m := range models {
					logChange(m.Name(), m.Changed(), said, logger)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}

// logChange logs that a model's files have changed, once for each change; said holds the changes that were logged before.
func logChange(model string, changed error, said map[string]string, logger *slog.Logger) {
	if changed == nil {
		delete(said, model)
		return
	}
	if text := changed.Error(); said[model] != text {
		said[model] = text
		logger.Warn("the files of a model have changed since they were read; it goes on with what was read", "model", model, "error", text)
	}
}
