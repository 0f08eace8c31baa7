package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/store"
)

// fill sets each text of a struct, also those that are added to it one day.
func fill(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.String:
		*n++
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, n)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	default:
		panic("appendJSON writes no " + v.Kind().String())
	}
}

// TestALongAnswerIsWrittenAsShortOnes holds what is written by hand to encoding/json.
func TestALongAnswerIsWrittenAsShortOnes(t *testing.T) {
	t.Parallel()
	format := jsonFormat()
	for _, codes := range []int{0, 1, 2, 200, 3} { // memory is used again
		list, n := codeList{Codes: make([]accountCode, codes)}, 0
		fill(reflect.ValueOf(&list).Elem(), &n)
		var got, want bytes.Buffer
		if err := huma.DefaultJSONFormat.Marshal(&want, list); err != nil {
			t.Fatal(err)
		}
		if err := format.Marshal(&got, list); err != nil || got.String() != want.String() {
			t.Errorf("%d codes: %v, got %s, want %s", codes, err, &got, &want)
		}
	}
}

func TestTheVersionOfAListIsMadeByFNV(t *testing.T) {
	t.Parallel()
	for range 100 {
		id, n := uuid.New(), rand.Uint64()
		want := fnv.New64a()
		_, _ = want.Write(id[:])
		_, _ = want.Write(binary.BigEndian.AppendUint64(nil, n))
		account := store.Account{ID: id, UpdatedAt: time.UnixMicro(int64(n))}
		if got := versionOf([]store.Account{account}); got != strconv.FormatUint(want.Sum64(), 36) {
			t.Errorf("%v, %d: got %s, want %d in base 36", id, n, got, want.Sum64())
		}
	}
}
