package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// Compressed is what holds no secret, and of the pages the list of codes alone. How long a compressed
// answer is depends on what repeats in it, so a page must not have both a secret and something that
// another site can make a browser send (BREACH): the list takes nothing from a request, other pages show
// what was typed or stands in their address.

// takesGzip reports whether the answer to a request may be compressed, and notes that it depends on that.
func takesGzip(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Accept-Encoding")
	if r.Header.Get("Range") != "" {
		return false
	}
	for one := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, q, weighed := strings.Cut(weight, "=")
		if !weighed {
			return true
		}
		quality, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return err == nil && quality > 0
	}
	return false
}

// compress does what it can: for what is sent many times.
func compress(content []byte) []byte { return compressAt(gzip.BestCompression, content) }

func compressAt(level int, content []byte) []byte {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, level)
	if err != nil {
		panic(err) // the levels are gzip's own
	}
	_, _ = w.Write(content) // a buffer takes everything
	_ = w.Close()
	return packed.Bytes()
}

func sendCompressed(w http.ResponseWriter, status int, packed []byte) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Length", strconv.Itoa(len(packed)))
	w.WriteHeader(status)
	_, _ = w.Write(packed) // net/http drops it for HEAD; otherwise the client is gone
}
