"""Results as JUnit XML, which every CI reads: one suite a variant, one test case a case."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from switchgear_plugins.test_cases.results import ResultRecord

_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


def junit(results: Sequence[ResultRecord]) -> str:
    """Write results."""
    root = ET.Element("testsuites", name="switchgear")
    for variant in dict.fromkeys(it.variant for it in results):
        mine = [it for it in results if it.variant == variant]
        suite = ET.SubElement(
            root, "testsuite", name=_fit(variant), tests=str(len(mine)),
            failures=str(sum(it.status == "failed" for it in mine)), errors=str(sum(it.status == "error" for it in mine)),
            time=f"{sum(it.latency_ms for it in mine) / 1000:.3f}",
        )  # fmt: skip
        for it in mine:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=_fit(it.subject or "none"),
                name=_fit(it.case),
                time=f"{it.latency_ms / 1000:.3f}",
            )
            if it.status == "error":
                ET.SubElement(case, "error", message=_fit(it.error or "")).text = _fit(it.error or "")
            elif it.status == "failed":
                wrong = [f"{verdict.type}: {verdict.detail}" for verdict in it.verdicts if not verdict.passed]
                ET.SubElement(case, "failure", message=_fit("; ".join(wrong))).text = _fit("\n".join(wrong))
            ET.SubElement(case, "system-out").text = _fit(it.text)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
