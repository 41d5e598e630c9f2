package transport

import (
	"net/http"

	"rollcall/internal/httpheader"
)

// The media types of GraphQL over HTTP.
const (
	mediaJSON     = "application/json"
	mediaResponse = "application/graphql-response+json"
	mediaStream   = "text/event-stream"
)

// acceptance is which of the media types that this package can write a caller accepts.
type acceptance struct {
	// media is mediaJSON or mediaResponse, whichever the caller prefers; "" if it accepts neither.
	media string
	// stream reports whether the caller accepts an SSE stream.
	stream bool
	// streamFirst reports whether the caller prefers an SSE stream, also for a single response.
	streamFirst bool
}

// accepted reads the Accept header. No header, and */*, mean application/json, as defined in
// GraphQL over HTTP for callers older than its own media type. A caller gets an SSE stream only if it
// names it.
func accepted(h http.Header) acceptance {
	switch lines := h.Values("Accept"); len(lines) {
	case 0:
		return acceptance{media: mediaJSON}
	case 1:
		switch lines[0] {
		case "", "*/*", mediaJSON:
			return acceptance{media: mediaJSON}
		case mediaResponse:
			return acceptance{media: mediaResponse}
		case mediaStream:
			return acceptance{stream: true, streamFirst: true}
		}
	}

	var json, response, stream wish
	position := 0
	for name, quality := range httpheader.Preferences(h, "Accept") {
		position++
		switch name {
		case mediaJSON:
			json.take(wish{quality, 3, position})
		case mediaResponse:
			response.take(wish{quality, 3, position})
		case mediaStream:
			stream.take(wish{quality, 3, position})
		case "application/*":
			json.take(wish{quality, 2, position})
			response.take(wish{quality, 2, position})
		case "*/*":
			json.take(wish{quality, 1, position})
			response.take(wish{quality, 1, position})
		}
	}

	best, media := json, mediaJSON
	if response.above(best) {
		best, media = response, mediaResponse
	}
	if best.quality <= 0 {
		media = ""
	}
	return acceptance{
		media:       media,
		stream:      stream.quality > 0,
		streamFirst: stream.quality > 0 && (media == "" || stream.above(best)),
	}
}

// wish is how much a caller wants one media type; the zero value is not at all.
type wish struct {
	quality  float64
	precise  int // 3: named, 2: application/*, 1: */*, 0: not mentioned
	position int // in the header
}

// take makes w the more precise of itself and other, which is the one that counts.
func (w *wish) take(other wish) {
	if other.precise > w.precise {
		*w = other
	}
}

// above reports whether w ranks before other: by quality, then precision, then position.
func (w wish) above(other wish) bool {
	switch {
	case w.quality != other.quality:
		return w.quality > other.quality
	case w.precise != other.precise:
		return w.precise > other.precise
	}
	return w.position < other.position
}
