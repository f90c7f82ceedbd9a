// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// shelf is what a registry has, made up by a test, to be read and not written.
type shelf struct {
	manifests map[string]document // by repository and tag or digest
	blobs     map[string][]byte   // by repository and digest
	referrers map[string][]ocispec.Descriptor
	// hasAPI is whether the registry has the referrers API, and pageSize how many
	// it lists at a time; 0 for all.
	hasAPI   bool
	pageSize int
}

type document struct {
	mediaType string
	data      []byte
}

func newShelf() *shelf {
	return &shelf{manifests: map[string]document{}, blobs: map[string][]byte{}, referrers: map[string][]ocispec.Descriptor{}}
}

// open has reg serve the shelf.
func (s *shelf) open(reg *testRegistry) {
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { s.ServeHTTP(w, r) })
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	if len(parts) != 3 {
		w.WriteHeader(http.StatusOK) // the ping
		return
	}
	repo, kind, name := parts[0], parts[1], parts[2]
	switch kind {
	case "referrers":
		s.list(w, r, repo)
	case "manifests":
		m, ok := s.manifests[repo+"/"+name]
		s.answer(w, r, m, ok)
	case "blobs":
		b, ok := s.blobs[repo+"/"+name]
		s.answer(w, r, document{"application/octet-stream", b}, ok)
	}
}

func (s *shelf) answer(w http.ResponseWriter, r *http.Request, d document, ok bool) {
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
		return
	}
	w.Header().Set("Content-Type", d.mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(d.data)))
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(d.data).String())
	if r.Method != http.MethodHead {
		_, _ = w.Write(d.data)
	}
}

// list answers the referrers API.
func (s *shelf) list(w http.ResponseWriter, r *http.Request, repo string) {
	all := s.referrers[repo]
	if !s.hasAPI {
		refuse(w, http.StatusNotFound, "UNSUPPORTED")
		return
	}
	if s.pageSize > 0 {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		all = all[min(page*s.pageSize, len(all)):]
		if len(all) > s.pageSize {
			all = all[:s.pageSize]
			w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, page+1))
		}
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_, _ = w.Write(indexOf(all...))
}

// refuse answers as the distribution specification has it.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"refused"}]}`, code)
}

// putManifest puts a manifest under its digest and tags, and returns how it is
// listed.
func (s *shelf) putManifest(repo, mediaType string, b []byte, tags ...string) ocispec.Descriptor {
	d := digest.FromBytes(b)
	for _, name := range append(tags, d.String()) {
		s.manifests[repo+"/"+name] = document{mediaType, b}
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

// piece is something in the place of a signature: the descriptor of a layer, and
// what is there.
type piece struct {
	layer ocispec.Descriptor
	data  []byte
	// absent is listed and not there, as a layer or as the manifest around it.
	absent bool
	// miscounted is listed with a wrong size, in the same way.
	miscounted bool
	// nameless is listed under a digest that is none.
	nameless bool
	// number tells pieces apart that are the same.
	number int
}

func newPiece(mediaType string, data []byte, annotations map[string]string) piece {
	return piece{
		layer: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data)), Annotations: annotations},
		data:  data,
	}
}

// put puts the content of a piece, and returns the layer as listed. Every second
// one that is bad is bad in the manifest around it, where it has one to itself.
func (s *shelf) put(repo string, p piece, alone bool) ocispec.Descriptor {
	layer, inManifest := p.layer, alone && p.number%2 == 0
	if p.nameless {
		layer.Digest = namelessDigest(p)
	}
	if !inManifest && p.miscounted {
		layer.Size += int64(1 - p.number%4) // -1 or 0 or 1
		if layer.Size == p.layer.Size {
			layer.Size++
		}
	}
	if p.data != nil && (inManifest || !p.absent) {
		s.blobs[repo+"/"+layer.Digest.String()] = p.data
	}
	return layer
}

func namelessDigest(p piece) digest.Digest { return digest.Digest(fmt.Sprintf("sha256:%d", p.number)) }

// manifestOf is the manifest of signatures that are layers.
func manifestOf(subject *ocispec.Descriptor, artifactType string, number int, layers ...ocispec.Descriptor) []byte {
	b, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: ocispec.DescriptorEmptyJSON, Layers: layers, Subject: subject,
		Annotations: map[string]string{"number": strconv.Itoa(number)},
	})
	if err != nil {
		panic(err)
	}
	return b
}

// refer makes each piece a referrer of its own, and returns the list of them.
func (s *shelf) refer(repo, artifactType string, image ocispec.Descriptor, pieces []piece) []ocispec.Descriptor {
	var list []ocispec.Descriptor
	for _, p := range pieces {
		b := manifestOf(&image, artifactType, p.number, s.put(repo, p, true))
		entry := s.putManifest(repo, ocispec.MediaTypeImageManifest, b)
		if p.number%2 == 0 && p.absent {
			delete(s.manifests, repo+"/"+entry.Digest.String())
		}
		if p.number%2 == 0 && p.miscounted {
			entry.Size--
		}
		if p.nameless {
			entry.Digest = namelessDigest(p)
		}
		entry.ArtifactType = artifactType
		list = append(list, entry)
	}
	return list
}

// layersIn puts pieces as the layers of one manifest.
func (s *shelf) layersIn(repo string, pieces []piece) []ocispec.Descriptor {
	var layers []ocispec.Descriptor
	for _, p := range pieces {
		layers = append(layers, s.put(repo, p, false))
	}
	return layers
}
