"""A loader of YAML that refuses a key that stands twice; PyYAML keeps the last of two without a word."""

import yaml


class UniqueKeyLoader(yaml.SafeLoader):
    """For `yaml.load(text, Loader=UniqueKeyLoader)`; raises yaml.MarkedYAMLError."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} occurs twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def problem(error: yaml.MarkedYAMLError) -> str:
    """The problem of a YAML file and its place, in one line."""
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{error.problem}"
