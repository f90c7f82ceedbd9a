// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-openapi/runtime"
	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekor "github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/api/layout"
	tiles "github.com/transparency-dev/tessera/client"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/verify"
)

// rekorV1 is Rekor's own client over our transport: the one that
// rekor/pkg/client makes takes no transport of the caller's.
func rekorV1(address string, t *transport) (entries.ClientService, error) {
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	if u.Path == "" {
		u.Path = rekor.DefaultBasePath
	}
	r := httptransport.NewWithClient(u.Host, u.Path, []string{u.Scheme}, &http.Client{Transport: t})
	r.Consumers = map[string]runtime.Consumer{"application/json": runtime.ConsumerFunc(consumeLogReply)}
	r.Producers["application/json"] = runtime.JSONProducer()
	return rekor.New(r, strfmt.Default).Entries, nil
}

// rekorV2 is a client of Rekor v2 over our transport, which also finds an entry
// that the log has already.
type rekorV2 struct {
	base      string
	transport *transport
	trusted   *verify.TrustedRoot
}

// Add implements sigstore-go's sign.RekorV2Client.
func (r *rekorV2) Add(ctx context.Context, entry any) (*protorekor.TransparencyLogEntry, error) {
	record, ok := entry.(*rekortilespb.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("unsupported entry type %T", entry)
	}
	body, err := protojson.Marshal(&rekortilespb.CreateEntryRequest{
		Spec: &rekortilespb.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: record},
	})
	if err != nil {
		return nil, err
	}
	u, err := parseURL(r.base)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.JoinPath("/api/v2/log/entries").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	reply, err := io.ReadAll(response.Body) // which the transport has bounded
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusCreated:
		return parseEntry(reply)
	case http.StatusConflict:
		found, err := r.find(ctx, response.Header)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", bundles.ErrLogged, err)
		}
		return found, nil
	default:
		return nil, fmt.Errorf("status %d: %s", response.StatusCode, reply)
	}
}

// parseEntry parses what a Rekor v2 answers. verifyRecord checks the body in it before
// anything parses that.
func parseEntry(reply []byte) (*protorekor.TransparencyLogEntry, error) {
	if err := strictjson.Check(reply); err != nil {
		return nil, err
	}
	made := &protorekor.TransparencyLogEntry{}
	if err := protojson.Unmarshal(reply, made); err != nil {
		return nil, err
	}
	return made, nil
}

// indexHeader is where Rekor v2 says which entry is equal to the one that was
// sent.
const indexHeader = "X-Log-Index"

// find puts an entry together from the tiles of the log. What it returns is what
// the log says; whoever attaches it verifies it first.
func (r *rekorV2) find(ctx context.Context, header http.Header) (_ *protorekor.TransparencyLogEntry, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in a tile: %.256v", v)
		}
	}()
	index, err := strconv.ParseUint(header.Get(indexHeader), 10, 62)
	if err != nil {
		return nil, errors.New("it does not say where")
	}
	logID, err := r.logID()
	if err != nil {
		return nil, err
	}
	u, err := parseURL(r.base)
	if err != nil {
		return nil, err
	}
	fetcher, err := tiles.NewHTTPFetcher(u.JoinPath("/api/v2/"), &http.Client{Transport: r.transport})
	if err != nil {
		return nil, err
	}
	envelope, err := fetcher.ReadCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	if len(envelope) > limits.Checkpoint {
		return nil, limits.Exceeded("checkpoint in bytes", limits.Checkpoint)
	}
	var checkpoint log.Checkpoint
	if _, err := checkpoint.Unmarshal(envelope); err != nil {
		return nil, err
	}
	if index >= checkpoint.Size || checkpoint.Size > 1<<62 {
		return nil, fmt.Errorf("entry %d is not in a log of %d", index, checkpoint.Size)
	}
	proof, err := tiles.NewProofBuilder(ctx, checkpoint.Size, fetcher.ReadTile)
	if err != nil {
		return nil, err
	}
	hashes, err := proof.InclusionProof(ctx, index)
	if err != nil {
		return nil, err
	}
	page, err := tiles.GetEntryBundle(ctx, fetcher.ReadEntryBundle, index/layout.EntryBundleWidth, checkpoint.Size)
	if err != nil {
		return nil, err
	}
	at := index % layout.EntryBundleWidth
	if at >= uint64(len(page.Entries)) {
		return nil, fmt.Errorf("entry %d is not in its page", index)
	}
	body := page.Entries[at]
	if err := bundles.CheckEntryBody(body); err != nil {
		return nil, err
	}
	var head struct{ Kind, APIVersion string }
	if err := json.Unmarshal(body, &head); err != nil {
		return nil, err
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          int64(index),
		LogId:             &protocommon.LogId{KeyId: logID},
		KindVersion:       &protorekor.KindVersion{Kind: head.Kind, Version: head.APIVersion},
		CanonicalizedBody: body,
		InclusionProof: &protorekor.InclusionProof{
			LogIndex:   int64(index),
			TreeSize:   int64(checkpoint.Size),
			RootHash:   checkpoint.Hash,
			Hashes:     hashes,
			Checkpoint: &protorekor.Checkpoint{Envelope: string(envelope)},
		},
	}, nil
}

// logID is the id of the log at this address, which only the trusted root knows.
func (r *rekorV2) logID() ([]byte, error) {
	for _, known := range r.trusted.Material().RekorLogs() {
		if strings.TrimSuffix(known.BaseURL, "/") == strings.TrimSuffix(r.base, "/") && len(known.ID) <= sha256.Size {
			return known.ID, nil
		}
	}
	return nil, errors.New("the trusted root has no log of this address")
}
