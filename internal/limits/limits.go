// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package limits holds every bound that the library puts on input that it does
// not control, in one place, each with its reason.
package limits

import (
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// KeyFile bounds a key file. The largest legitimate one, an encrypted RSA
	// 4096 key, is under 6 KiB.
	KeyFile = 64 << 10

	// PrivateKey bounds a private key in DER. One of RSA 4096 is under 2.5 KiB. To
	// open an RSA key takes the square of its size, and seconds for one that fills a
	// key file.
	PrivateKey = 4 << 10

	// Manifest bounds manifests, indexes and lists of referrers. It is the
	// size that containerd's resolver accepts, and registries commonly refuse
	// larger ones on push.
	Manifest = 4 << 20

	// Bundle bounds one Sigstore bundle. A key-pair bundle is about 1 KiB, one
	// with a certificate chain, log entry and timestamps about 12 KiB.
	Bundle = 1 << 20

	// Error bounds the text of an error that a registry is asked to explain.
	Error = 64 << 10

	// Header bounds the header of an answer of a registry. The largest that are seen,
	// with the cookies and policies of a proxy, are a tenth of it.
	Header = 64 << 10

	// Challenge bounds the part of it that says how to authenticate, which is a few
	// hundred bytes. Its parsers take the square of its length.
	Challenge = 4 << 10

	// Reason bounds what an image verifier tells containerd, which shows it in a
	// message of its own, and the kubelet in an event of 1 KiB.
	Reason = 1000

	// Payload bounds one simple signing payload: a few hundred bytes plus the
	// signer's annotations.
	Payload = 256 << 10

	// Statement bounds an attestation that is signed. In base64 it must fit into a
	// bundle that verifiers read, with certificate, log entries and timestamps.
	Statement = Bundle / 2

	// Subjects is the most of a statement that sigstore-go verifies.
	Subjects = 1024

	// SubjectDigests is the most of a subject that it verifies.
	SubjectDigests = 32

	// Candidates bounds the signatures that are read for one image from one
	// place, the pages of a list, and the length of every list that is written.
	// Pipelines that sign on every run are seen with a few hundred.
	Candidates = 2048

	// Descriptors bounds the entries of one list that are looked at, whatever they
	// are. An image with that many attestations has other problems.
	Descriptors = 8 * Candidates

	// TotalBytes bounds what is read from one place for one verification, so
	// that many candidates cannot each be as large as a single one may be.
	TotalBytes = 32 << 20

	// VerifyTimeout bounds one verification with everything that is read for it.
	// A full list of candidates takes seconds, and a minute from a registry that
	// is far away.
	VerifyTimeout = 2 * time.Minute

	// MirrorShare is the part of that time, one in so many, that a host may take
	// to answer while there are others to ask, and of that part what it may take
	// after it has not. A verification asks a mirror half a dozen times, one after
	// another: for a token, to resolve, to list, for a manifest and for a blob. Most
	// of the time is left for the one that answers.
	MirrorShare = 8

	// IndexDepth bounds how deep indexes contain each other. Build tools make
	// one level, and two where they wrap another index.
	IndexDepth = 4

	// IndexManifests bounds the manifests and indexes that one index contains,
	// nested ones included. Official images have about twenty.
	IndexManifests = 512

	// KeptSignatures bounds the signatures that are kept beside one image in a
	// content store: as many of the largest as one verification reads. Policies
	// ask for one, or a few.
	KeptSignatures = TotalBytes / Bundle

	// Annotations bounds the annotations of one signature, wanted or found.
	Annotations = 256

	// Chain bounds the certificates that come with a signature. A private
	// authority has two or three intermediates.
	Chain = 16

	// Checkpoint bounds the signed state of a log that comes with an entry. With
	// the signatures of twenty witnesses it is about 3 KiB.
	Checkpoint = 16 << 10

	// RSABits bounds the RSA keys that come with a signature. Verifying with one of
	// this size takes a millisecond at most, whatever its exponent.
	RSABits = 8192

	// Certificate bounds one certificate in bytes. They are under 4 KiB, and those
	// that name hundreds of hosts under 32 KiB.
	Certificate = 64 << 10

	// CertificateNames bounds the names of one certificate, and the constraints on
	// names. A certificate to sign with has one name, and an authority a few
	// constraints; each constraint is compared with each name below.
	CertificateNames = 64

	// Timestamp bounds one signed timestamp in bytes. With a chain of three
	// certificates it is about 6 KiB.
	Timestamp = 64 << 10

	// Timestamps bounds those of one signature, as sigstore-go does. Policies ask for
	// one or two.
	Timestamps = 32

	// EntrySignatures bounds the signatures of one log entry. Verifiers want one.
	EntrySignatures = 16

	// EntryCertificates bounds the certificates that a log entry has for one
	// signature. Rekor reads no more.
	EntryCertificates = 10

	// ProofHashes bounds the hashes of an inclusion proof: those of a tree with 2^63
	// entries are 63.
	ProofHashes = 64

	// DERDepth bounds how deep elements of ASN.1 contain each other. A timestamp
	// with its certificates has about 15 levels.
	DERDepth = 32

	// DERElements bounds the elements of one structure in ASN.1. A certificate has
	// about 120, and a timestamp with a chain of three about 500.
	DERElements = 1 << 14

	// JSONDepth bounds how deep objects and arrays of JSON contain each other. A
	// bundle has 6 levels, and bills of materials in attestations some dozens.
	JSONDepth = 128

	// JSONNumber bounds a number of JSON in bytes. The exact decimal form of a
	// 64-bit integer has 20, and the shortest exact one of a float 24.
	JSONNumber = 64

	// JSONValues bounds the values in one text of JSON, which take some hundred
	// bytes of memory each, and as little as two of the text. The bill of materials
	// of a large image has about 100,000.
	JSONValues = 1 << 17

	// TrustedRoot bounds a trusted root, a signing config, and a file of
	// certificates or keys. Sigstore's own root is under 16 KiB.
	TrustedRoot = 1 << 20

	// PolicyFile bounds a policy file. One with a thousand scopes is about 100 KiB.
	PolicyFile = 1 << 20

	// Reference bounds an image reference. A path has at most 255 bytes, a host
	// 253, a tag 128, and a digest of SHA-512 136.
	Reference = 1 << 10

	// YAMLDirectives bounds the directives of a file in YAML. Files have one at most,
	// with the version. Parsers take the square of their number.
	YAMLDirectives = 16

	// Problems bounds those of a policy file or a Compose project that an error
	// tells of.
	Problems = 100

	// TUFRefresh is how long the state of a TUF repository is used before a
	// newer one is looked for. Sigstore's timestamp metadata lives for a week.
	TUFRefresh = 24 * time.Hour

	// TUFRetry is how long the last good copy is used after a refresh failed,
	// so that a mirror that is down does not delay every verification.
	TUFRetry = 5 * time.Minute

	// TUFTimeout bounds one refresh, which is about eight small requests.
	TUFTimeout = 30 * time.Second

	// LockPoll is how often a process looks whether another one is done with a
	// file that they share.
	LockPoll = 20 * time.Millisecond

	// TUFRoot bounds root metadata of a TUF repository. It is go-tuf's bound, as are
	// the next ones; Sigstore's is under 10 KiB.
	TUFRoot = 512_000

	// TUFTimestamp bounds timestamp metadata, which names one file.
	TUFTimestamp = 16_384

	// TUFSnapshot bounds snapshot metadata, which names each role.
	TUFSnapshot = 2_000_000

	// TUFMetadata bounds the metadata of the role targets and of delegated ones,
	// which may list many files, and each target.
	TUFMetadata = 5_000_000

	// TUFSignatures bounds the signatures of one file of metadata. go-tuf compares
	// each with all others. Sigstore's root has up to ten.
	TUFSignatures = 128

	// TUFRoots bounds the new roots of one refresh. Sigstore has published a dozen
	// in five years.
	TUFRoots = 256

	// TUFDelegations bounds the roles that a search for one target visits, besides
	// the role targets.
	TUFDelegations = 32

	// ServiceBudget is how long one signature may wait for the services that
	// record it, unless the caller says otherwise.
	ServiceBudget = 60 * time.Second

	// ServiceAttempts bounds how often one request is sent.
	ServiceAttempts = 4

	// ServiceWait is the wait after the first failed attempt, which doubles
	// with each.
	ServiceWait = 250 * time.Millisecond

	// ServiceReply bounds one answer of a service. A certificate chain or a log
	// entry is under 64 KiB.
	ServiceReply = 1 << 20

	// StuckCalls bounds the calls to dependencies of a process that were abandoned and
	// have not returned. Each may hold what one verification has read, or keep a core
	// busy. Calls that are under way when it is reached can still add to it, as many
	// as the caller makes at once.
	StuckCalls = 64

	// Grace is how long a call may go on after its context has ended, to return by
	// itself and say more than that. The operation has 100 ms to return.
	Grace = 80 * time.Millisecond

	// LogLookups bounds the look-ups in logs for one verification. An image has few
	// signatures whose entry is looked up, and each asks a public service.
	LogLookups = 16

	// KeyService bounds one request to a key management service or a token. They
	// answer within a second, and their clients try again for half a minute.
	KeyService = time.Minute

	// Login is how long a person may take to log in with a browser.
	Login = 5 * time.Minute

	// LoginPage is how long the browser may take to read the page at the end of
	// a login. It is on the same machine.
	LoginPage = 3 * time.Second

	// DeviceLogin bounds the time that an issuer gives a person to enter a code.
	DeviceLogin = 15 * time.Minute

	// DeviceInterval is how often an issuer is asked whether the person did,
	// unless it says otherwise, and what is added when it finds that too often,
	// by RFC 8628.
	DeviceInterval = 5 * time.Second

	// CertificateMargin is the life that a certificate must still have for
	// another signature to be begun with it: logs and authorities have to
	// answer before its end.
	CertificateMargin = time.Minute

	// ClockSkew is how far the clock of a certificate authority may be ahead of
	// ours.
	ClockSkew = 2 * time.Minute

	// Token bounds an identity token, and what a registry's token server answers.
	// Those of workflows are about 2 KiB, and so are those of registries.
	Token = 64 << 10

	// LogEntries bounds the entries that a look-up in a log finds for one
	// signature, of which there should be one.
	LogEntries = 32

	// IssuerKeys bounds the public keys of an OpenID Connect issuer, each of which
	// may be tried with a token. They have two or three, and large ones ten.
	IssuerKeys = 64

	// Identities bounds the identities of one policy.
	Identities = 128

	// Pattern bounds the regular expressions of identities. Go's run in linear
	// time, so a long one is a mistake and not a danger.
	Pattern = 4 << 10

	// Keys bounds the keys of one policy; each costs one signature check per
	// candidate.
	Keys = 128

	// Services bounds the services of one Compose project. Generated projects are
	// seen with a few hundred.
	Services = 4096

	// Uses bounds the images that the services of a plan use, with those of their
	// hooks and mounts.
	Uses = 2 * Services

	// ParallelImages is how many images of a Compose project are worked on at
	// once. Each takes a few requests at a time, and registries throttle by client.
	ParallelImages = 8

	// ComposeFile bounds a Compose file that is read to tell in which line a field
	// is. The largest that are seen are a tenth of it.
	ComposeFile = 1 << 20

	// ComposeFiles bounds those of one project that are read for that.
	ComposeFiles = 64

	// ComposeDepth bounds the aliases, merged mappings and extended services that
	// are followed for that.
	ComposeDepth = 16

	// ComposeNodes bounds all that is looked at for that: there can be no end of
	// ways to a node.
	ComposeNodes = 1 << 20

	// TagSettle is how long a writer of a shared tag waits before it reads the
	// tag back, to see whether another writer replaced its work. It must
	// exceed the time that another writer takes between reading and writing
	// the tag.
	TagSettle = 250 * time.Millisecond

	// PinAttempts bounds how often a record of an image is created and, where it
	// is there already, replaced, while others create and delete it.
	PinAttempts = 16

	// TagAttempts bounds how often a writer of a shared tag merges and writes
	// again before it gives up.
	TagAttempts = 32
)

// ErrExceeded is the cause of every failure that a limit of this package made.
var ErrExceeded = errors.New("limit exceeded")

// Exceeded reports that what is larger than limit.
func Exceeded[N int | int64 | time.Duration](what string, limit N) error {
	return fmt.Errorf("%w: %s is larger than %v", ErrExceeded, what, limit)
}

// ReadAll reads r to its end, and fails as soon as it holds more than limit
// bytes.
func ReadAll(r io.Reader, limit int64, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, Exceeded(what+" in bytes", limit)
	}
	return b, nil
}
