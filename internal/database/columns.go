package database

import (
	"strings"
	"sync"

	"gorm.io/gorm/schema"
)

// Columns lists the columns of a model's table for a SELECT, each under its name
// with the prefix: what GORM needs to fill a struct that embeds the model.
func Columns(table, prefix string, model any) string {
	parsed, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		panic(err) // the models are compiled in
	}
	list := make([]string, 0, len(parsed.DBNames))
	for _, name := range parsed.DBNames {
		list = append(list, table+".`"+name+"` AS "+prefix+name)
	}
	return strings.Join(list, ", ")
}
