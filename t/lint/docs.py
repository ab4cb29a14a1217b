#!/usr/bin/env python3
"""Are the documents true to one another, and to what they are about?

Every link of a Markdown file leads to a file, and to a heading, that is there.
docs/configuration.md names each directive and each setting.

A Chinese page is not translated word for word, but it is about the same things:
the settings, directives, variables, endpoints, files and options that one of
two pages names are named in the other, the same examples are in both (but for
their comments), and a setting has the same default in the tables of both.  A
page of which the Chinese one is shorter, PART, may leave names out; what it
names is in some English page.  So a change of an English page is an error until
the Chinese one has it.

Called in the directory that has README.md.
"""

import re
import sys
from pathlib import Path

PART = {"operations.md"}

CONFIGURATION = Path("docs/configuration.md")
EXAMPLE = Path("conf/application.yaml")
KEYS = Path("src/server/config/kmq_config.c")
DIRECTIVES = Path("ngx_kapokmq_module.c")

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.M)
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)

NAMES = [
    r"\bkapokmq_[a-z_]+",                       # directives, variables, metrics
    r"\bKapokmq[A-Z]\w+",                       # alerts
    r"/(?:Console|Consumers?|Producers?)/\w+",  # endpoints
    r"\b(?:docs|conf|src|build|view|packaging)/[\w./-]*\w",
    r"`(make [a-z-]+)",
    r"\b[A-Z_]{2,}=\w+",
    r"\b[\w-]+\.(?:yaml|yml|json|conf|sh)\b",
    r"\?(?:confirm|prefetch|heartbeat)=",
    r"\b(?:Content-Type|Retry-After|Last-Event-ID|Authorization)\b",
]
FUNCTION = re.compile(r"`((?:Get|Del|Purge|Requeue|Release|Count)[A-Z]\w+|Ping"
                      r"|Disconnect|Health)`")

errors = []


def report(page, text):
    errors.append(f"{page}: {text}")


def pages():
    """README*.md, all of docs, and what clients and examples have, in order."""
    return [page for pattern in ("README*.md", "docs/**/*.md",
                                 "clients/*/*.md", "examples/*.md")
            for page in sorted(Path(".").glob(pattern))]


def prose(text):
    """A page without its examples."""
    return FENCE.sub("", text)


# ------------------------------------------------------------------- links

def anchors(text):
    """What a heading is called in a link, as the site that shows it does."""
    found = set()
    for heading in HEADING.findall(prose(text)):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        heading = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(heading.replace(" ", "-"))
    return found


def check_links(page, text):
    for link in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists():
            report(page, f"the link to {link} leads nowhere")
        elif anchor and anchor not in anchors(target.read_text()):
            report(page, f"{link}: there is no such heading")


# ---------------------------------------------------------------- settings

def settings():
    """All keys that a file may have, aliases included."""
    keys = set(re.findall(r"^ *(?:# +)?(\w+):(?= |$)", EXAMPLE.read_text(),
                          re.M))
    return keys | set(re.findall(r'^    \{ "(\w+)", kmq_', KEYS.read_text(),
                                 re.M))


def check_configuration():
    text = CONFIGURATION.read_text()
    source = KEYS.read_text()
    table = re.search(r"kmq_mq_keys\[\] = \{\n(.*?)^\};", source, re.M | re.S)
    for entry in re.findall(r"\{(.*?)\}", table.group(1), re.S):
        name = re.match(r'\s*"(\w+)"', entry)
        if name and "ALIAS" not in entry and "ignored" not in entry \
                and f"`{name.group(1)}`" not in text:
            report(CONFIGURATION, f"lacks the setting {name.group(1)}")
    shipped = re.sub(r"^#ifdef KMQ_FAULTS\n.*?^#endif\n", "",
                     DIRECTIVES.read_text(), flags=re.M | re.S)
    for name in re.findall(r'ngx_string\("(kapokmq_\w+)"\)', shipped):
        if not re.search(rf"\b{name}\b", text):
            report(CONFIGURATION, f"lacks the directive {name}")


# ------------------------------------------------------------------- pairs

def english_of(page):
    """Of a Chinese page."""
    if page.name == "README.zh.md":
        return Path("README.md")
    return Path("docs") / page.relative_to("docs/zh")


def names(page, text, keys):
    """What a page is about; its links as seen from the top, in English."""
    found = set()
    for link in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", link) or link.startswith("#"):
            continue
        path = (page.parent / link.partition("#")[0]).resolve()
        path = str(path.relative_to(Path(".").resolve()))
        path = path.replace("-chinese.png", ".png")
        found.add(path.replace("docs/zh/", "docs/")
                  .replace("README.zh.md", "README.md"))
    text = LINK.sub("]", text)
    text = re.sub(r"\[[^]\n]*\.md\]", "", text).replace("docs/zh/", "docs/")
    for pattern in NAMES:
        found |= set(re.findall(pattern, text))
    found |= set(FUNCTION.findall(text))
    found |= {word for word in re.findall(r"`(?:mq\.)?(\w+)(?::[^`]*)?`", text)
              if word in keys}
    # another language, and a page that is there in one language only
    return {name for name in found if not name.startswith("README")
            and not (name.startswith("docs/") and name.endswith(".md")
                     and not Path(name).exists())}


def examples(text):
    """What is run or pasted of it, without comments."""
    found = []
    for _, language, body in FENCE.findall(text):
        if language in ("sh", "nginx", "yaml", "js", "python", "ini"):
            body = re.sub(r"(?:^|(?<=\s))(?:#|//) .*$", "", body, flags=re.M)
            found.append("\n".join(line.rstrip() for line in body.split("\n")
                                   if line.strip()))
    return found


def defaults(text, keys):
    """The second column of tables of settings that have three."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|([^|]*)\|[^|]*\|$",
                      prose(text), re.M)
    return {name: value.strip() for name, value in rows
            if set(re.findall(r"\w+", name)) <= keys}


def is_chinese(page):
    return page.name == "README.zh.md" or "zh" in page.parts


def check_part(chinese, here, keys):
    """A page that is shorter: all that it has is in some English one."""
    there, all_examples = set(), set()
    for page in pages():
        if not is_chinese(page):
            text = page.read_text()
            there |= names(page, text, keys)
            all_examples |= set(examples(text))
    for name in sorted(here - there):
        report(chinese, f"{name} is in no English page")
    for example in examples(chinese.read_text()):
        if example not in all_examples:
            report(chinese, "an example is in no English page: "
                   + example.strip().split("\n")[0])


def check_pair(chinese, keys):
    page = english_of(chinese)
    text = chinese.read_text()
    here = names(chinese, text, keys)
    if chinese.name in PART:
        check_part(chinese, here, keys)
        return
    if not page.exists():
        report(chinese, f"there is no {page}")
        return
    original = page.read_text()
    there = names(page, original, keys)
    for name in sorted(there - here):
        report(chinese, f"lacks {name}, which {page} names")
    for name in sorted(here - there):
        report(page, f"lacks {name}, which {chinese} names")

    ours, theirs = examples(text), examples(original)
    for n, (a, b) in enumerate(zip(ours, theirs)):
        if a != b:
            report(chinese, f"example {n + 1} is not that of {page}")
    if len(ours) != len(theirs):
        report(chinese, f"{len(ours)} examples, {page} has {len(theirs)}")

    ours, theirs = defaults(text, keys), defaults(original, keys)
    for name in sorted(set(ours) & set(theirs)):
        if ours[name] != theirs[name]:
            report(chinese, f"{name} is {ours[name]}, in {page} {theirs[name]}")


def main():
    keys = settings()
    for page in pages():
        check_links(page, page.read_text())
    check_configuration()
    for page in pages():
        if is_chinese(page):
            check_pair(page, keys)
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
