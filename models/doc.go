// Package models defines the database's rows as Go structs, and the enums that they share with the
// API. It has no queries and no I/O.
package models
