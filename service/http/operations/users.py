"""The calls on users."""

from service import errors, payloads
from service.http.examples import STORED_USER, USER, USER_PATCH
from service.http.operations.base import (
    BODY,
    HEAD,
    PATH_ID,
    STORE,
    WORK,
    Answer,
    Link,
    Operation,
    Parameter,
)
from service.http.shapes import ID

USER_ID = Parameter("id", "path", PATH_ID, ID, "u42", True)
UNMODIFIED_SINCE = Parameter(
    "If-Unmodified-Since",
    "header",
    "An HTTP date. Store nothing if the user was written after it, or was erased at any time of "
    "which a mark is still kept: 412. Without it the write is unconditional.",
    {"type": "string", "format": "http-date"},
    "Wed, 20 Nov 2024 07:06:40 GMT",
)

A_USER = {
    "recall": Link("recall", {"user_id": "$response.body#/id"}),
    "get": Link("get_user", {"id": "$response.body#/id"}),
    "patch": Link("patch_user", {"id": "$response.body#/id"}),
    "delete": Link("delete_user", {"id": "$response.body#/id"}),
}

USERS = (
    Operation(
        "GET",
        "/users/{id}",
        "get_user",
        "Read a user",
        "The stored features and the state that they give.",
        {200: Answer("The user.", (payloads.StoredUser,), {"warm": STORED_USER}, links=A_USER)},
        (errors.UnknownUser, *WORK, *STORE),
        (USER_ID, *HEAD),
        tag="users",
        needs="write",
    ),
    Operation(
        "PUT",
        "/users/{id}",
        "put_user",
        "Store a user's features",
        "Replaces what is stored. Context features are refused: they come with the request.",
        {
            201: Answer("A new user.", (payloads.StoredUser,), {"warm": STORED_USER}, links=A_USER),
            200: Answer("Replaced.", (payloads.StoredUser,), {"warm": STORED_USER}, links=A_USER),
        },
        (*BODY, errors.PreconditionFailed, *WORK, *STORE),
        (USER_ID, UNMODIFIED_SINCE, *HEAD),
        body=(payloads.UserRecord,),
        bodies={"warm": USER, "cold": {"gender": "f", "age": 31}},
        tag="users",
        needs="write",
    ),
    Operation(
        "PATCH",
        "/users/{id}",
        "patch_user",
        "Change some of a user's features",
        "Merges features into what is stored, also where that is nothing; `null` removes one, and "
        '`"preference": null` forgets all preference. What others write meanwhile is not lost.',
        {
            201: Answer("A new user.", (payloads.StoredUser,), {"warm": STORED_USER}, links=A_USER),
            200: Answer("Changed.", (payloads.StoredUser,), {"warm": STORED_USER}, links=A_USER),
        },
        (*BODY, *WORK, *STORE),
        (USER_ID, *HEAD),
        body=(payloads.Patch,),
        bodies={"change": USER_PATCH},
        tag="users",
        needs="write",
    ),
    Operation(
        "DELETE",
        "/users/{id}",
        "delete_user",
        "Erase a user",
        "All that is stored of the user is gone. For `FIRSTSIGHT_ERASED_KEPT_DAYS` a salted hash "
        "of the id keeps writes with `If-Unmodified-Since` from bringing it back. Idempotent.",
        {204: Answer("Erased, or nothing was stored.")},
        (*WORK, *STORE),
        (USER_ID, *HEAD),
        tag="users",
        needs="write",
    ),
)
