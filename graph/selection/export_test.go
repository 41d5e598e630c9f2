package selection

// Names returns the fields that can be encoded directly.
func (t Type) Names() []string {
	names := make([]string, 0, len(t.fields))
	for name := range t.fields {
		names = append(names, name)
	}
	return names
}

// Kept returns how many values the plan has, and how many fields they have.
func (p *Plan) Kept() (values, fields int) {
	p.known.Range(func(_, entries any) bool {
		for _, e := range entries.([]entry) {
			values++
			fields += e.value.count()
		}
		return true
	})
	return values, fields
}

func (v *value) count() int {
	if v == nil {
		return 0
	}
	n := len(v.members)
	for _, m := range v.members {
		n += m.value.count()
	}
	return n
}
