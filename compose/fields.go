// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/cosignkit/cosignkit"
)

const (
	prefix          = cosignkit.FieldPrefix
	fieldSign       = prefix + "sign"
	fieldVerify     = prefix + "verify"
	fieldPrivateKey = prefix + "cosign-private-key"
	fieldPublicKey  = prefix + "cosign-public-key"
)

func signs(f cosignkit.Fields) bool    { return f.Sign.Provider == cosignkit.Cosign }
func verifies(f cosignkit.Fields) bool { return f.Verify.Provider == cosignkit.Cosign }

// readFields reads the fields of all services that are enabled, and finds fields
// where they would do nothing.
func readFields(project *types.Project, config Config, found *problems) map[string]cosignkit.Fields {
	fields := map[string]cosignkit.Fields{}
	for _, name := range project.ServiceNames() {
		f, err := cosignkit.ParseFields(name, project.Services[name].Extensions, project.WorkingDir)
		found.addFields(name, err)
		if !config.Notation {
			found.addNotation(name, f)
		}
		fields[name] = f
	}
	strayed(reflect.ValueOf(project).Elem(), nil, found)
	return fields
}

// addFields adds what the adapter finds in a service.
func (p *problems) addFields(service string, err error) {
	var list cosignkit.FieldErrors
	if !errors.As(err, &list) {
		if err != nil {
			p.add(Problem{Service: service, Err: err})
		}
		return
	}
	for _, e := range list {
		p.add(Problem{Service: service, Field: e.Field, Err: expected(e.Found, e.Want)})
	}
}

// missing are the files that are not there of those that the plan needs.
func missing(f cosignkit.Fields, push, dependency bool) error {
	if list := f.CheckFiles("", push && !dependency, !push); len(list) > 0 {
		return list
	}
	return nil
}

// addNotation refuses a provider that is somebody else's.
func (p *problems) addNotation(service string, f cosignkit.Fields) {
	for field, provider := range map[string]string{fieldSign: f.Sign.Provider, fieldVerify: f.Verify.Provider} {
		if provider == cosignkit.Notation {
			p.add(Problem{Service: service, Field: field, Err: expected(provider+", which is not supported", "cosign or none")})
		}
	}
}

func expected(found, want string) error {
	return fmt.Errorf("found %s; expected %s", found, want)
}

// strayed finds keys of ours in every mapping of a project but the one where they
// belong. What stands in an extension of somebody else's is that one's, or is a
// template for services.
func strayed(v reflect.Value, path []string, found *problems) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			strayed(v.Elem(), path, found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			strayed(v.Index(i), append(slices.Clone(path), strconv.Itoa(i)), found)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, key := range keys {
			inside := append(slices.Clone(path), key.String())
			if strings.HasPrefix(key.String(), prefix) {
				found.add(misplaced(inside))
			}
			if key.String()+"-" == prefix {
				nested(v.MapIndex(key).Interface(), inside, found)
			}
			// Of environment and labels, compose-go makes extensions this one value.
			if key.String() == consts.Extensions {
				for _, name := range fieldName.FindAllString(textOf(v.MapIndex(key)), -1) {
					found.add(misplaced(append(slices.Clone(path), name)))
				}
			}
			if v.Type() != reflect.TypeFor[types.Extensions]() {
				strayed(v.MapIndex(key), inside, found)
			}
		}
	case reflect.Struct:
		_, isService := v.Interface().(types.ServiceConfig)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || isService && field.Name == "Extensions" || len(path) == 0 && slices.Contains(notInFile, field.Name) {
				continue
			}
			inside := path
			if name, options, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" && name != "-" && !strings.Contains(options, "inline") {
				inside = append(slices.Clone(path), name)
			} else if name == "-" {
				inside = append(slices.Clone(path), strings.ToLower(field.Name))
			}
			strayed(v.Field(i), inside, found)
		}
	}
}

// nested finds names of fields without their prefix, in a mapping of its name. With
// the prefix they are a template for services.
func nested(value any, path []string, found *problems) {
	mapping, _ := value.(map[string]any)
	for _, name := range cosignkit.FieldNames() {
		name = strings.TrimPrefix(name, prefix)
		if _, ok := mapping[name]; ok {
			found.add(misplaced(append(slices.Clone(path), name)))
		}
	}
}

// notInFile are the fields of a project that are what nobody wrote, and what is
// not enabled.
var notInFile = []string{"Environment", "DisabledServices", "DisabledJobs"}

var fieldName = regexp.MustCompile(regexp.QuoteMeta(prefix) + `[a-z-]+`)

func textOf(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.String {
		return ""
	}
	return v.String()
}

func misplaced(path []string) Problem {
	err := errors.New("does nothing here; expected in a service, beside its image")
	if len(path) > 2 && path[0] == "services" {
		return Problem{Service: path[1], Field: strings.Join(path[2:], "."), Err: err}
	}
	return Problem{Field: strings.Join(path, "."), Err: err}
}
