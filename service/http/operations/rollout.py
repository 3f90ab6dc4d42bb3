"""The calls that decide which version is served; for administrators."""

from export.contract.manifest import VERSION
from service import errors, payloads
from service.http.examples import BUNDLES, CHANGED, ROLLED_BACK
from service.http.operations.base import (
    AT_ONCE,
    BODY,
    HEAD,
    STORE,
    Answer,
    Link,
    Operation,
    Parameter,
)

A_VERSION = {"type": "string", "pattern": f"^{VERSION.pattern}$"}
VERSION_ID = Parameter(
    "version", "path", "A version in `FIRSTSIGHT_BUNDLES`.", A_VERSION, "kuairand-4", True
)
CHANGES = (*BODY, errors.Conflict, *AT_ONCE, *STORE, errors.DeadlineExceeded)

ROLLOUT = (
    Operation(
        "GET",
        "/bundles",
        "list_bundles",
        "List the versions that are there",
        "And which of them serves whom, as `firstsight bundle list` does.",
        {
            200: Answer(
                "The versions.",
                (payloads.BundlesAnswer,),
                {"tried": BUNDLES},
                links={
                    "first": Link(
                        "activate_bundle", {"version": "$response.body#/bundles/0/version"}
                    )
                },
            )
        },
        (*AT_ONCE, errors.DeadlineExceeded),
        HEAD,
        tag="rollout",
        needs="admin",
    ),
    Operation(
        "POST",
        "/bundles/{version}/activate",
        "activate_bundle",
        "Serve a version",
        "It is verified first, in a process of its own, which takes as long as a load; one version "
        "at a time on a machine. With a `share` below 1 it becomes the candidate, which "
        "serves that share of users.",
        {
            200: Answer(
                "The pointer.",
                (payloads.PointerChange,),
                {"tried": CHANGED},
                links={
                    "back": Link("roll_back", body={"expect": "$response.body#/after/generation"})
                },
            )
        },
        (errors.UnknownBundle, errors.BundleRefused, *CHANGES),
        (VERSION_ID, *HEAD),
        body=(payloads.Activation,),
        bodies={"try": {"share": 0.1, "expect": 6}},
        is_body_needed=False,
        tag="rollout",
        needs="admin",
    ),
    Operation(
        "POST",
        "/bundles/rollback",
        "roll_back",
        "Serve the version before",
        "Or drop the candidate, if one is tried. With `expect` a call that is sent twice does one "
        "of them and not both.",
        {200: Answer("The pointer.", (payloads.PointerChange,), {"dropped": ROLLED_BACK})},
        (errors.UnknownBundle, *CHANGES),
        HEAD,
        body=(payloads.Rollback,),
        bodies={"expected": {"expect": 7}},
        is_body_needed=False,
        tag="rollout",
        needs="admin",
    ),
)
