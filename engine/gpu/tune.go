package gpu

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/tune"
)

// Tuning says how backends choose among the variants of their kernels.
type Tuning struct {
	// Folder keeps what was found on this machine, for later sessions. Empty: nothing is kept.
	Folder string
	System string // version and build of the operating system
	Again  bool   // earlier outcomes are not used
	// Budget is the time of a search; a little more may pass. 0: two seconds.
	Budget time.Duration
	// Clock times the variants. Nil: the device's clock, and no tuning on a simulated device.
	Clock tune.Clock
}

// Tuned is the outcome of Tune.
type Tuned struct {
	Products int           // that were timed; 0: all were known
	Missing  int           // that were not, since the time was over: they take the variants that should fit
	Elapsed  time.Duration // of the search
	Path     string        // of the file that keeps the outcome
	Err      error         // why it could not be read or written; nil: it could
}

// defaultBudget bounds a search. An M1 needs about a second for the six products of a BERT of 768, by their cost, and 0.1 s for those
// of few rows.
const defaultBudget = 2 * time.Second

// tuned has the fastest variants that a session knows.
type tuned struct {
	mu    sync.Mutex
	known []tune.Found // guarded by mu
	done  bool         // guarded by mu: a search has ended; what it left out is for a later session
}

// LoadTuning makes the session's backends choose the variants that were the fastest before on this device, so that only these
// are compiled. It is called before Open. Errors: a file that can't be read; then the choice is as without one.
func (s *Session) LoadTuning() error {
	s.tuned.mu.Lock()
	defer s.tuned.mu.Unlock()
	t := s.config.Tuning
	if !s.tunes() || t.Folder == "" || t.Again {
		return nil
	}
	key, err := s.tuningKey()
	if err != nil {
		return err
	}
	found, err := tune.Read(t.Folder, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.library.Pin(tune.Choices(found)...)
	}
	if err == nil {
		s.tuned.known = found
	}
	return err
}

// tunes says whether variants are to be timed, and times mean anything.
func (s *Session) tunes() bool {
	t := s.config.Tuning
	return t != nil && (t.Clock != nil || !s.Simulated())
}

func (s *Session) tuningKey() (tune.Key, error) {
	hash, err := tune.HashKernels(kernels.Files())
	return tune.Key{Device: s.device.Info().Name, System: s.config.Tuning.System, Kernels: hash}, err
}

// Tune times the variants of those products of the backend that are not known yet, and makes it and later backends of the session
// choose the fastest. It is called before the first Forward. A session searches once, so that no replica and no backend that is
// opened again waits for another search. Errors: the device's; ctx's.
func (b *Backend) Tune(ctx context.Context) (Tuned, error) {
	s := b.session
	s.tuned.mu.Lock()
	defer s.tuned.mu.Unlock()
	unknown := b.unknownProducts()
	if !s.tunes() || len(unknown) == 0 || s.tuned.done {
		return Tuned{}, nil
	}
	clock := s.config.Tuning.Clock
	if clock == nil {
		clock = tune.DeviceClock
	}
	begin := time.Now()
	search := tune.Search{Device: s.device, Budget: cmp.Or(s.config.Tuning.Budget, defaultBudget), Clock: clock, MaxRows: s.config.MaxBatchTokens}
	found, err := search.Products(ctx, unknown)
	if err != nil {
		s.note(err)
		return Tuned{}, err
	}
	choices := tune.Choices(found)
	if err := s.library.Pin(choices...); err != nil {
		return Tuned{}, err
	}
	for _, p := range b.model.products {
		if slices.ContainsFunc(choices, func(c kernels.Choice) bool { return c.Shape == p.Shape() }) {
			if err := p.Choose(choices); err != nil {
				return Tuned{}, err
			}
		}
	}
	s.tuned.known, s.tuned.done = tune.Merge(s.tuned.known, found), true
	missing := len(b.unknownProducts())
	return Tuned{Products: len(unknown) - missing, Missing: missing, Elapsed: time.Since(begin)}, nil
}

// unknownProducts returns a product of each shape for which no variant was found yet.
func (b *Backend) unknownProducts() []*kernels.Product {
	var unknown []*kernels.Product
	for _, p := range b.model.products {
		same := func(other *kernels.Product) bool { return other.Shape() == p.Shape() }
		known := func(f tune.Found) bool { return f.Shape == p.Shape() }
		if !slices.ContainsFunc(unknown, same) && !slices.ContainsFunc(b.session.tuned.known, known) {
			unknown = append(unknown, p)
		}
	}
	return unknown
}

// KeepTuning adds the session's outcomes to the file, beside those for other models, and returns the file's path. It is
// called once the chosen variants have computed right logits.
func (s *Session) KeepTuning() (path string, err error) {
	s.tuned.mu.Lock()
	defer s.tuned.mu.Unlock()
	t := s.config.Tuning
	if !s.tunes() || t.Folder == "" || len(s.tuned.known) == 0 {
		return "", nil
	}
	key, err := s.tuningKey()
	if err != nil {
		return "", err
	}
	before, _ := tune.Read(t.Folder, key) // absent, or of no use
	return key.Path(t.Folder), tune.Write(t.Folder, key, tune.Merge(before, s.tuned.known))
}
