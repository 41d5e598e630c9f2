// Package generated has the code that gqlgen generates from schema.graphqls: the executor and the types
// of its inputs. `make generate` updates it.
package generated
