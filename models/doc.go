// Package models has the nouns of the service as the database keeps them, and the
// enums that they share with the API: no queries, no I/O.
package models
