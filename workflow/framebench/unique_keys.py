"""A loader of YAML that refuses what PyYAML reads otherwise than it looks: a key twice, a key `no`, 12:30 and 010."""

import re

import yaml

KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")  # of a key that is a text, and of <<

MOST_KEYS = 10_000  # a few lines with << can ask for any number


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
                if key.tag not in KEYS:
                    told = f"the key {key.value!r} is no text in YAML; put it in quotes"
                    raise yaml.MarkedYAMLError(problem=told, problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_KEYS:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_KEYS} keys in a group", problem_mark=node.start_mark)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        whole = node.tag.endswith("int")
        number = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if ":" in node.value or (whole and re.fullmatch("[+-]?0[0-9_]+", node.value)):
            raise yaml.MarkedYAMLError(
                problem=f"{node.value} is {number} in YAML; write the number itself, or a text in quotes",
                problem_mark=node.start_mark,
            )
        return number


for kind in ("int", "float"):
    UniqueKeyLoader.add_constructor(f"tag:yaml.org,2002:{kind}", UniqueKeyLoader.construct_number)


def problem(error: yaml.MarkedYAMLError) -> str:
    """The problem of a YAML file and its place, in one line."""
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{error.problem}"
