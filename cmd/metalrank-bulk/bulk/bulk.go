// Package bulk scores millions of pairs on a fleet, by way of NATS JetStream: Submit cuts an input into chunks and puts
// them into a stream, any number of Workers score them, Collect writes the results in the order of the input.
//
// A chunk's key is its job and its number. A worker takes a chunk, tells the server now and then that it still works on it,
// publishes the result under the key and only then acknowledges. If a worker dies, the server gives its chunk to another.
// The server takes one result for each key and refuses all later ones, so that a chunk has exactly one result however
// often it is scored. A pair that kills workers is found by halving its chunk; its result is an error text (isolate.go).
//
// The server keeps all state of a job J:
//
//	KV metalrank-bulk-jobs, key J         the Job: how it is cut, how far its submission is
//	KV metalrank-bulk-workers             the live workers and their counts; entries expire
//	KV metalrank-bulk-trouble-J, key N    the state of the search in chunk N, which could not be scored as a whole
//	stream metalrank-bulk-work-J          subject metalrank.bulk.J.work.N: chunks to be scored
//	stream metalrank-bulk-results-J       subject metalrank.bulk.J.result.N: one result for each chunk
//
// The package must not know where pairs come from and how results are written: package table does.
package bulk

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const (
	jobsBucket    = "metalrank-bulk-jobs"
	workersBucket = "metalrank-bulk-workers"
	consumerName  = "workers" // of each stream of work
)

var jobName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ErrName marks a text that can't be the name of a job.
var ErrName = errors.New("bulk: not the name of a job")

// CheckName returns an ErrName where a job can't be called name.
func CheckName(name string) error {
	if !jobName.MatchString(name) {
		return fmt.Errorf("%w: %q: want 1 to 64 of A-Z, a-z, 0-9, - and _", ErrName, name)
	}
	return nil
}

func workStream(job string) string      { return "metalrank-bulk-work-" + job }
func resultStream(job string) string    { return "metalrank-bulk-results-" + job }
func isolationBucket(job string) string { return "metalrank-bulk-trouble-" + job }

func workSubject(job, chunk string) string   { return "metalrank.bulk." + job + ".work." + chunk }
func resultSubject(job, chunk string) string { return "metalrank.bulk." + job + ".result." + chunk }

// chunkKey returns the name of a chunk in subjects and keys: its number, from 0, in decimal.
func chunkKey(number int) string { return strconv.Itoa(number) }

// parseWorkSubject returns the number in a subject that workSubject made.
func parseWorkSubject(job, subject string) (int, error) {
	key, ok := strings.CutPrefix(subject, workSubject(job, ""))
	number, err := strconv.Atoi(key)
	if !ok || err != nil || number < 0 || chunkKey(number) != key {
		return 0, fmt.Errorf("bulk: %q is no subject of a chunk", subject)
	}
	return number, nil
}
