// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/origin"
)

// transport sends the requests of one operation: under its context, which not
// all of the clients that use it know; again when that may help; and never more
// of an answer than a limit. One transport serves one goroutine.
type transport struct {
	ctx       context.Context //nolint:containedctx // of one operation, see above
	base      http.RoundTripper
	logger    *slog.Logger
	userAgent string
	allowHTTP bool
	// attempts is how often one request is sent. Zero means
	// limits.ServiceAttempts.
	attempts int
	// refuses makes an error of an answer that asks to come back later, when it
	// is the last one: sigstore-go's clients would wait once more.
	refuses bool
	// check is of the content of a success, before the client that asked parses it.
	check func([]byte) error
	// status is that of the last answer, which the clients put into text.
	status int
}

func (c *Client) transport(ctx context.Context) *transport {
	return &transport{
		ctx: ctx, base: c.config.Transport, logger: c.config.Logger,
		userAgent: c.config.UserAgent, allowHTTP: c.config.InsecureAllowHTTP, refuses: true,
	}
}

// budget bounds ctx by the client's budget.
func (c *Client) budget(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.config.Budget,
		fmt.Errorf("no answer within the budget of %s: %w", c.config.Budget, context.DeadlineExceeded))
}

func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	rule := origin.Rule{Plain: func(*url.URL) bool { return t.allowHTTP }}
	if err := rule.Check(request.URL); err != nil {
		return nil, err
	}
	var body []byte
	if request.Body != nil {
		var err error
		body, err = limits.ReadAll(request.Body, limits.Bundle, "request")
		_ = request.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	for attempt := 1; ; attempt++ {
		response, err := t.once(request, body)
		wait, again := t.again(attempt, response, err)
		if !again {
			return t.finish(response, err)
		}
		if response != nil {
			_ = response.Body.Close()
		}
		t.logger.Debug("a service is asked again", "host", request.URL.Host, "attempt", attempt, "wait", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-t.ctx.Done():
			return nil, fault.Ended(t.ctx)
		}
	}
}

// once sends request, which its client may use again, with body.
func (t *transport) once(request *http.Request, body []byte) (*http.Response, error) {
	if t.ctx.Err() != nil {
		return nil, fault.Ended(t.ctx)
	}
	r := request.Clone(t.ctx)
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	if t.userAgent != "" {
		r.Header.Set("User-Agent", t.userAgent)
	}
	response, err := t.base.RoundTrip(r)
	if err != nil {
		if t.ctx.Err() != nil {
			return nil, fault.Ended(t.ctx)
		}
		return nil, err
	}
	return response, nil
}

// again says whether to send a request once more, and after which time. All that
// is sent here can be sent twice: the services know entries that they have.
func (t *transport) again(attempt int, response *http.Response, err error) (time.Duration, bool) {
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return 0, false
	}
	if t.ctx.Err() != nil || attempt >= cmp.Or(t.attempts, limits.ServiceAttempts) {
		return 0, false
	}
	wait := limits.ServiceWait << (attempt - 1)
	wait += rand.N(wait / 2) //nolint:gosec // so that many clients do not come back at once
	if err == nil {
		if response.StatusCode != http.StatusTooManyRequests && response.StatusCode < 500 {
			return 0, false
		}
		if asked, ok := retryAfter(response, time.Now()); ok {
			wait = max(wait, asked)
		}
	}
	// A wait that ends after the budget is not begun.
	if deadline, ok := t.ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return 0, false
	}
	return wait, true
}

// retryAfter is what RFC 9110, section 10.2.3, lets a server ask for.
func retryAfter(response *http.Response, now time.Time) (time.Duration, bool) {
	value := response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

func (t *transport) finish(response *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	t.status = response.StatusCode
	if t.refuses && (t.status == http.StatusTooManyRequests || t.status >= 500) {
		_ = response.Body.Close()
		return nil, fmt.Errorf("the service answers with status %d", t.status)
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		_ = response.Body.Close()
		return nil, fmt.Errorf("the service redirects (status %d), which is not followed", response.StatusCode)
	}
	b, err := limits.ReadAll(response.Body, limits.ServiceReply, "reply")
	_ = response.Body.Close()
	if err != nil {
		if t.ctx.Err() != nil {
			return nil, fault.Ended(t.ctx)
		}
		return nil, err
	}
	if t.check != nil && response.StatusCode < 300 {
		if err := t.check(b); err != nil {
			return nil, fmt.Errorf("reply with status %d: %w", response.StatusCode, err)
		}
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return response, nil
}
