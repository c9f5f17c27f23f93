#!/usr/bin/env python3
"""Writes NAME_msg.h and NAME_msg.c from NAME.proto: plain C structs with spans for every message,
and the tables by which proto_message.c converts them to and from protobuf-c's structs. So no room
sees a generated *.pb-c.h, and the .proto is the one place where a field is written down.

Reads what our .proto files use and fails on anything else: proto3, enums, messages with uint32,
uint64, bool, bytes and message fields, `repeated`, one service whose rpcs end in `// = NUMBER`."""
import re
import sys


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def parse(text):
    enums, messages, rpcs, package = [], [], [], None
    numbered = []
    for line in text.split("\n"):
        if re.match(r"\s*rpc ", line):
            m = re.match(r"\s*rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\);\s*// = (\d+)\s*$", line)
            if not m:
                sys.exit("rpc without its number: " + line)
            rpcs.append((m[1], m[2], m[4], bool(m[3]), int(m[5])))
        numbered.append(re.sub(r"//.*", "", line))
    bare = "\n".join(numbered)
    package = re.search(r"package (\w+);", bare)[1]
    for m in re.finditer(r"\benum (\w+) \{(.*?)\}", bare, re.S):
        enums.append((m[1], re.findall(r"(\w+) = (\d+);", m[2])))
    for m in re.finditer(r"\bmessage (\w+) \{(.*?)\}", bare, re.S):
        fields = []
        for f in filter(None, (x.strip() for x in m[2].split(";"))):
            g = re.fullmatch(r"(repeated )?(\w+) (\w+) = (\d+)", f)
            if not g:
                sys.exit(f"message {m[1]}: not understood: {f}")
            fields.append((bool(g[1]), g[2], g[3], int(g[4])))
        messages.append((m[1], sorted(fields, key=lambda f: f[3])))
    if len({r[4] for r in rpcs}) != len(rpcs):
        sys.exit("an rpc number stands twice")
    return package, enums, messages, rpcs


def ordered(messages):
    names, done, out = dict(messages), set(), []

    def visit(name):
        if name in done:
            return
        done.add(name)
        for _, kind, _, _ in names[name]:
            if kind in names:
                visit(kind)
        out.append((name, names[name]))

    for name, _ in messages:
        visit(name)
    return out


SCALARS = {"uint32": ("uint32_t ", "PROTO_U32"), "uint64": ("uint64_t ", "PROTO_U64"),
           "bool": ("bool ", "PROTO_BOOL"), "bytes": ("struct span ", "PROTO_BYTES")}


def header(name, package, enums, messages, rpcs):
    guard = f"GODWIT_{name.upper()}_MSG_H"
    o = [f"/* {name}_msg.h: made from {name}.proto by generate.py. */", f"#ifndef {guard}",
         f"#define {guard}", "", "#include \"proto_message.h\"", "", "#ifdef __cplusplus",
         "extern \"C\" {", "#endif", ""]
    P = package.upper()
    for ename, values in enums:
        o.append(f"enum {package}_{snake(ename)} {{")
        o += [f"    {P}_{v} = {n}," for v, n in values]
        o += ["};", ""]
    for mname, fields in ordered(messages):
        o.append(f"struct {package}_{snake(mname)} {{")
        for repeated, kind, fname, _ in fields:
            base = SCALARS[kind][0] if kind in SCALARS else f"struct {package}_{snake(kind)} "
            if repeated:
                o += [f"    {base}*{fname};", f"    size_t {fname}_count;"]
            else:
                if kind not in SCALARS:
                    o.append(f"    bool has_{fname};")
                o.append(f"    {base}{fname};")
        o += ["};", f"extern const struct proto_type {package}_{snake(mname)}_type;", ""]
    o.append(f"enum {package}_method {{")
    o += [f"    {P}_METHOD_{snake(r[0]).upper()} = {r[4]}," for r in rpcs]
    o += ["};", f"enum {{ {P}_METHODS = {len(rpcs)} }};",
          f"extern const struct proto_method {package}_methods[{P}_METHODS];",
          f"/* The row of a number, or NULL. */",
          f"const struct proto_method *{package}_method_find(unsigned number);", "",
          "#ifdef __cplusplus", "}", "#endif", "#endif", ""]
    return "\n".join(o)


def source(name, package, enums, messages, rpcs):
    o = [f"/* Made from {name}.proto by generate.py. */", f"#include \"{name}_msg.h\"", "",
         "#include <stddef.h>", "", f"#include \"{name}.pb-c.h\"", ""]
    for mname, fields in ordered(messages):
        s = f"{package}_{snake(mname)}"
        o.append(f"static const struct proto_field {s}_fields[] = {{")
        for repeated, kind, fname, tag in fields:
            k = SCALARS[kind][1] if kind in SCALARS else "PROTO_MESSAGE"
            sub = "NULL" if kind in SCALARS else f"&{package}_{snake(kind)}_type"
            count = f"offsetof(struct {s}, {fname}_count)" if repeated else (
                f"offsetof(struct {s}, has_{fname})" if kind not in SCALARS else "0")
            o.append(f"    {{ {tag}, {k}, {'true' if repeated else 'false'}, "
                     f"offsetof(struct {s}, {fname}), {count}, {sub} }},")
        pb = f"{package}__{re.sub('([a-z0-9])([A-Z])', lambda m: m[1] + '_' + m[2], mname).lower()}__descriptor"
        o += ["};", f"const struct proto_type {s}_type = {{ \"{mname}\", sizeof(struct {s}), &{pb},",
              f"    {s}_fields, {len(fields)} }};", ""]
    P = package.upper()
    o.append(f"const struct proto_method {package}_methods[{P}_METHODS] = {{")
    for rname, req, rep, stream, num in rpcs:
        o.append(f"    {{ {num}, \"{rname}\", &{package}_{snake(req)}_type, "
                 f"&{package}_{snake(rep)}_type, {'true' if stream else 'false'} }},")
    o += ["};", "", f"const struct proto_method *{package}_method_find(unsigned number)", "{",
          f"    for (size_t i = 0; i < {P}_METHODS; i++) {{",
          f"        if ({package}_methods[i].number == number) return &{package}_methods[i];",
          "    }", "    return NULL;", "}", ""]
    return "\n".join(o)


def main():
    proto, name, out = sys.argv[1:4]
    with open(proto, encoding="utf-8") as f:
        parts = parse(f.read())
    for suffix, make in (("h", header), ("c", source)):
        with open(f"{out}/{name}_msg.{suffix}", "w", encoding="utf-8") as f:
            f.write(make(name, *parts))


main()
