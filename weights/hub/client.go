package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	maxInfoBytes  = 64 << 20 // a repository of thousands of files has a few MB
	attempts      = 5
	firstWait     = 500 * time.Millisecond
	longestWait   = 30 * time.Second
	stalledWithin = 60 * time.Second // no byte for so long: the connection is given up
)

// client talks to one hub.
type client struct {
	Settings

	http        *http.Client
	warn        func(reason error)              // called when the cache is used instead; may be nil
	symlink     func(target, path string) error // os.Symlink
	wait        time.Duration                   // before the second attempt; doubles
	maxAttempts int                             // attempts in a row without a byte of progress
}

func newClient(s Settings) (*client, error) {
	endpoint, err := url.Parse(s.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" {
		return nil, fmt.Errorf("hub: endpoint %.200q, want an http or https URL", s.Endpoint)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: stalledWithin,
		ResponseHeaderTimeout: stalledWithin, IdleConnTimeout: stalledWithin, MaxIdleConnsPerHost: connections,
	}
	return &client{Settings: s, wait: firstWait, maxAttempts: attempts, symlink: os.Symlink, http: &http.Client{
		Transport: transport,
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if len(via) >= 10 {
				return errors.New("10 redirects in a row")
			}
			if to.URL.Host != endpoint.Host || to.URL.Scheme != endpoint.Scheme {
				// Files are on other hosts, behind signed addresses. net/http would pass the token to subdomains.
				to.Header.Del("Authorization")
				// The answer that redirects has the hub's headers about the file.
				if to.Method == http.MethodHead {
					return http.ErrUseLastResponse
				}
			}
			return nil
		},
	}}, nil
}

// do sends a request and turns a refusal into an error. The caller closes the body.
func (c *client) do(ctx context.Context, method, address string, header map[string]string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	request.Header.Set("User-Agent", "metalrank")
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for key, value := range header {
		request.Header.Set(key, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, &temporaryError{fmt.Errorf("hub: %w", withoutURL(err)), 0}
	}
	if err := refusal(response); err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	return response, nil
}

// withoutURL drops the address from an error of net/http: after a redirect it has a signature in it.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// temporaryError is worth another attempt.
type temporaryError struct {
	error
	after time.Duration // as the server wants it; 0 if it does not say
}

func (e *temporaryError) Unwrap() error { return e.error }

// refusal returns the error for a status, or nil for one that is fine. The hub gives its reason in X-Error-Code.
func refusal(r *http.Response) error {
	what := r.Request.URL.Path
	switch code := r.Header.Get("X-Error-Code"); {
	case r.StatusCode < 400:
		return nil
	case r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return errRange
	case code == "GatedRepo":
		return fmt.Errorf("%w: %s is gated: ask for access on its page, and set HF_TOKEN or log in with hf auth login", ErrDenied, what)
	case code == "RevisionNotFound":
		return fmt.Errorf("%w: %s", errNoRevision, what)
	case r.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	case r.StatusCode == http.StatusUnauthorized:
		// The hub says 401 for repositories that do not exist, too.
		return fmt.Errorf("%w: %s: no such repository, or a private one: set HF_TOKEN or log in with hf auth login", ErrDenied, what)
	case r.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s: the token does not allow this", ErrDenied, what)
	case r.StatusCode == http.StatusTooManyRequests || r.StatusCode >= 500:
		seconds, _ := strconv.Atoi(r.Header.Get("Retry-After"))
		return &temporaryError{fmt.Errorf("hub: %s: %s", what, r.Status), time.Duration(seconds) * time.Second}
	default:
		return fmt.Errorf("hub: %s: %s", what, r.Status)
	}
}

var errNoRevision = fmt.Errorf("%w: no such revision", ErrNotFound)

var errRange = errors.New("hub: the server cannot resume there")

// retry calls f until it works, fails for good, or has failed too often in a row without progress, which f reports.
func (c *client) retry(ctx context.Context, f func() (progress bool, err error)) error {
	wait, failed := c.wait, 0
	for {
		progress, err := f()
		temporary, again := errors.AsType[*temporaryError](err)
		if err == nil || !again || ctx.Err() != nil {
			return err
		}
		if progress {
			wait, failed = c.wait, 0
		}
		if failed++; failed >= c.maxAttempts {
			return fmt.Errorf("%w (%d attempts)", err, failed)
		}
		pause := min(max(wait, temporary.after), longestWait)
		wait *= 2
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// info has the fields that are read of /api/models/OWNER/MODEL/revision/REVISION.
type info struct {
	SHA      string `json:"sha"`
	Siblings []struct {
		Name string `json:"rfilename"`
	} `json:"siblings"`
}

// parseInfo checks the answer: the commit becomes the name of a folder.
func parseInfo(data []byte) (commit string, files []string, err error) {
	var i info
	if err := json.Unmarshal(data, &i); err != nil {
		return "", nil, fmt.Errorf("hub: list of files: %w", err)
	}
	if !commitPattern.MatchString(i.SHA) {
		return "", nil, fmt.Errorf("hub: list of files: commit %.60q, want 40 hexadecimal digits", i.SHA)
	}
	for _, s := range i.Siblings {
		files = append(files, s.Name)
	}
	return i.SHA, files, nil
}

// list returns the commit that a revision stands for, and the files in it.
func (c *client) list(ctx context.Context, n Name) (commit string, files []string, err error) {
	address := fmt.Sprintf("%s/api/models/%s/%s/revision/%s", c.Endpoint, n.Owner, n.Model, url.PathEscape(n.Revision))
	var data []byte
	err = c.retry(ctx, func() (bool, error) {
		response, err := c.do(ctx, http.MethodGet, address, nil)
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		if data, err = io.ReadAll(io.LimitReader(response.Body, maxInfoBytes+1)); err != nil {
			return false, &temporaryError{fmt.Errorf("hub: list of files: %w", err), 0}
		}
		return false, nil
	})
	if err != nil {
		return "", nil, err
	}
	if len(data) > maxInfoBytes {
		return "", nil, fmt.Errorf("hub: list of files: more than %d bytes", maxInfoBytes)
	}
	return parseInfo(data)
}

// remoteFile is the hub's description of a file.
type remoteFile struct {
	name, address string
	etag          string // SHA-256 of LFS content, else git's SHA-1
	size          int64
}

// stat asks for size and hash of a file.
func (c *client) stat(ctx context.Context, n Name, commit, file string) (remoteFile, error) {
	f := remoteFile{name: file, address: fmt.Sprintf("%s/%s/%s/resolve/%s/%s", c.Endpoint, n.Owner, n.Model, commit, (&url.URL{Path: file}).EscapedPath())}
	err := c.retry(ctx, func() (bool, error) {
		// Compressed, it would have another length.
		response, err := c.do(ctx, http.MethodHead, f.address, map[string]string{"Accept-Encoding": "identity"})
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		first := func(keys ...string) string {
			for _, key := range keys {
				if v := response.Header.Get(key); v != "" {
					return v
				}
			}
			return ""
		}
		f.etag = strings.Trim(strings.TrimPrefix(first("X-Linked-Etag", "Etag"), "W/"), `"`)
		f.size, err = strconv.ParseInt(first("X-Linked-Size", "Content-Length"), 10, 64)
		if !blobPattern.MatchString(f.etag) || err != nil || f.size < 0 {
			return false, fmt.Errorf("hub: %s: etag %.80q and size %.20q, want a SHA-1 or SHA-256, and a number",
				file, f.etag, first("X-Linked-Size", "Content-Length"))
		}
		return false, nil
	})
	return f, err
}
