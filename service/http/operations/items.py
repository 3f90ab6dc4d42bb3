"""The calls on items."""

from service import errors, payloads
from service.http.examples import ITEM, PATCH, POSTED, POSTED_BATCH, SIMILAR, STORED_ITEM
from service.http.operations.base import (
    AFTER,
    AT_ONCE,
    BODY,
    EXCLUDE,
    FLAG,
    HEAD,
    ITEM_ID,
    STORE,
    WORK,
    Answer,
    K,
    Link,
    Operation,
    Parameter,
)

AN_ITEM = {
    "get": Link("get_item", {"id": "$response.body#/id"}),
    "patch": Link("patch_item", {"id": "$response.body#/id"}),
    "similar": Link("similar", {"id": "$response.body#/id", "after": "$response.body#/log_id"}),
    "delete": Link("delete_item", {"id": "$response.body#/id"}),
}
WRITTEN = ("X-Log-Id", "X-Durable")
WITH_VECTOR = Parameter("vector", "query", "`false` leaves vectors out of the answer.", FLAG, True)

ITEMS = (
    Operation(
        "POST",
        "/items",
        "post_items",
        "Post one item, or several",
        "The item tower makes the vector (preference dropped when absent). 2xx means written to "
        "Redis and searchable on the replica that answered. A batch answers 200 with one result "
        "for each item in order; one bad item loses no good one.",
        {
            201: Answer("A new item.", (payloads.ItemPosted,), {"posted": POSTED}, links=AN_ITEM),
            200: Answer(
                "The item replaced one; or the results of a batch.",
                (payloads.ItemPosted, payloads.ItemBatchAnswer),
                {"replaced": POSTED, "batch": POSTED_BATCH},
            ),
        },
        (*BODY, *WORK, *STORE),
        (WITH_VECTOR, *HEAD),
        body=(payloads.ItemRecord, payloads.ItemBatch),
        bodies={"one": ITEM, "several": {"items": [ITEM, {"id": "v900002", "tags": ["music"]}]}},
        tag="items",
        needs="write",
    ),
    Operation(
        "GET",
        "/items/{id}",
        "get_item",
        "Read an item",
        "Its record as it is served, its state and its vector.",
        {
            200: Answer(
                "The item.",
                (payloads.StoredItem,),
                {"posted": STORED_ITEM},
                links={"post": Link("post_items", body="$response.body#/record")},
            ),
        },
        (errors.UnknownItem, *AT_ONCE, errors.NotReady),
        (ITEM_ID, *HEAD),
        tag="items",
        needs="recall",
    ),
    Operation(
        "PATCH",
        "/items/{id}",
        "patch_item",
        "Change some features of an item",
        "Merges features into those that are served, whoever wrote them; `null` removes one, and "
        '`"preference": null` forgets all preference. What another replica writes meanwhile is not '
        "lost.",
        {200: Answer("The item as it is now.", (payloads.ItemPosted,), {"patched": POSTED})},
        (*BODY, errors.UnknownItem, *WORK, *STORE),
        (ITEM_ID, WITH_VECTOR, *HEAD),
        body=(payloads.Patch,),
        bodies={"change": PATCH, "forget": {"preference": None}},
        tag="items",
        needs="write",
    ),
    Operation(
        "DELETE",
        "/items/{id}",
        "delete_item",
        "Remove an item",
        "It is never recalled again, in this version or another, until it is posted again. "
        "Idempotent.",
        {
            204: Answer(
                "Removed, or it was not there.",
                headers=WRITTEN,
                links={"post": Link("post_items", body={"id": "$request.path.id"})},
            )
        },
        (*WORK, *STORE),
        (ITEM_ID, *HEAD),
        tag="items",
        needs="write",
    ),
    Operation(
        "GET",
        "/items/{id}/similar",
        "similar",
        "Find items near to an item",
        "The items whose vectors are nearest to the item's, best first, itself left out. `state` "
        "and `dropped` tell how its vector was made.",
        {200: Answer("Items, best first.", (payloads.SimilarAnswer,), {"similar": SIMILAR})},
        (errors.UnknownItem, *WORK),
        (ITEM_ID, K, EXCLUDE, AFTER, *HEAD),
        tag="items",
        needs="recall",
    ),
)
