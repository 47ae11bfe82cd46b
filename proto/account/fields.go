package account

import (
	"bytes"
	"iter"
	"reflect"
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// members iterates over the fields of the struct that p points to that have a tag `key`. The tag lists the keys of
// the field in a JSON object: the one that is written, and then those that may be read instead.
func members(p any) iter.Seq2[[]string, any] {
	return func(yield func(keys []string, field any) bool) {
		v := reflect.ValueOf(p).Elem()
		for i := range v.NumField() {
			keys := strings.Fields(v.Type().Field(i).Tag.Get("key"))
			if len(keys) > 0 && !yield(keys, v.Field(i).Addr().Interface()) {
				return
			}
		}
	}
}

// fromJSON sets the fields of the struct that p points to whose keys are in o. It reads values leniently, as the C
// tools do. The fields do not alias o, which may be wiped.
func fromJSON(o *cjson.Object, p any) {
	for keys, field := range members(p) {
		key := keys[0]
		for _, other := range keys[1:] {
			if o.Text(key) == "" && o.Has(other) {
				key = other
			}
		}
		if !o.Has(key) {
			continue
		}
		switch f := field.(type) {
		case *string:
			*f = o.Text(key)
		case *[]string:
			*f = o.Texts(key)
		case *bool:
			*f = o.Bool(key)
		case *int64:
			*f, _ = o.Int(key)
		case *secret.Secret:
			*f = o.Secret(key)
		case *[]byte: // raw JSON
			if o.Text(key) != "" {
				*f = bytes.Clone(o.Raw(key))
			}
		default: // a struct
			if nested := o.Object(key); nested != nil {
				fromJSON(nested, f)
			}
		}
	}
}

// toJSON is the inverse of fromJSON for the types of fields that an Account has.
func toJSON(p any) *cjson.Object {
	o := cjson.New()
	for keys, field := range members(p) {
		key := keys[0]
		switch f := field.(type) {
		case *string:
			o.SetText(key, *f)
		case *[]string:
			if len(*f) > 0 { // version 5.3.3 omits nothing else
				o.SetTexts(key, *f)
			}
		case *bool:
			o.SetInt(key, map[bool]int64{true: 1}[*f])
		case *secret.Secret:
			o.SetSecret(key, *f)
		case *[]byte:
			raw := bytes.Clone(*f)
			if raw == nil {
				raw = []byte("{}")
			}
			o.SetRaw(key, raw)
		}
	}
	return o
}
