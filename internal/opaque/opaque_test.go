package opaque

import (
	"math"
	"testing"
)

func TestSealer(t *testing.T) {
	sealer := Secret{1}.Sealer("users", 7)
	for _, pair := range [][2]int64{{}, {1_790_000_000_123, 42}, {-5, math.MaxInt64}, {math.MinInt64, -1}} {
		text := sealer.Seal(pair[0], pair[1])
		if a, b, ok := sealer.Open(text); !ok || a != pair[0] || b != pair[1] {
			t.Errorf("%v came back as %d, %d, %t", pair, a, b, ok)
		}
		if again := (Secret{1}).Sealer("users", 7).Seal(pair[0], pair[1]); again != text {
			t.Errorf("%v is %s and %s", pair, text, again)
		}
		for name, other := range map[string]struct {
			sealer *Sealer
			text   string
		}{
			"another secret":  {Secret{2}.Sealer("users", 7), text},
			"another purpose": {Secret{1}.Sealer("friends", 7), text},
			"another owner":   {Secret{1}.Sealer("users", 8), text},
			"cut":             {sealer, text[:len(text)-1]},
			"longer":          {sealer, text + "A"},
			"changed":         {sealer, changed(text)},
			"a line break":    {sealer, text[:4] + "\n" + text[4:]},
			"empty":           {sealer, ""},
		} {
			if a, b, ok := other.sealer.Open(other.text); ok {
				t.Errorf("%s: %v is accepted as %d, %d", name, pair, a, b)
			}
		}
	}
}

func changed(text string) string {
	if text[0] == 'B' {
		return "C" + text[1:]
	}
	return "B" + text[1:]
}

// TestSealer_HidesOrder: neighbours have no more in common than any two texts.
func TestSealer_HidesOrder(t *testing.T) {
	sealer := Secret{1}.Sealer("request", 1)
	same, last := 0, sealer.Seal(0, 0)
	const n = 2000
	for i := range int64(n) {
		text := sealer.Seal(i+1, 0)
		for at := range 20 { // of the encrypted block
			if text[at] == last[at] {
				same++
			}
		}
		last = text
	}
	if want := 20 * n / 64; same > 2*want {
		t.Errorf("neighbours share %d characters of %d; at random they would %d", same, 20*n, want)
	}
}

// FuzzOpen: a text that is accepted is exactly the one that Seal returns.
func FuzzOpen(f *testing.F) {
	sealer := Secret{1}.Sealer("users", 1)
	f.Add("")
	f.Add("AAAA")
	f.Add(sealer.Seal(3, 4))
	f.Add(sealer.Seal(3, 4) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		if a, b, ok := sealer.Open(text); ok && sealer.Seal(a, b) != text {
			t.Errorf("%q is accepted as %d, %d", text, a, b)
		}
	})
}

func BenchmarkPage(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		sealer := Secret{1}.Sealer("friends", 1)
		for i := range int64(50) {
			sealer.Seal(1_790_000_000_123, i)
		}
	}
}

func BenchmarkSealer(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Secret{1}.Sealer("friends", 1)
	}
}
