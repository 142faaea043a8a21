"""A caller of the gateway: buys one product, or follows every transaction.

    shop.py buy ADDRESS REFERENCE_CODE PRODUCT_CODE ACCOUNT_NUMBER
    shop.py watch ADDRESS [CURSOR]
"""

import pathlib
import sys
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from okebayar.gateway.v1 import transaction_pb2 as v1
from okebayar.gateway.v1 import transaction_service_pb2 as calls
from okebayar.gateway.v1.transaction_service_pb2_grpc import TransactionServiceStub

PROTO = pathlib.Path(__file__).parent / "../../proto/okebayar/gateway/v1"

# These end a stream, not the transaction: watch again from the last position.
INTERRUPTIONS = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}

# The actions of this shop, by `next_step`.
ACTIONS = {
    "WAIT": "wait for the outcome",
    "NONE": "done",
    "RETRY_SAME_REFERENCE": "call again with the same reference code",
    "BUY_AGAIN": "refund, or buy again under a new reference code",
    "CORRECT_AND_BUY_AGAIN": "ask the customer to correct the order",
    "INQUIRE_AGAIN": "inquire again",
    "DO_NOT_BUY_AGAIN": "do not pay this bill again",
    "CORRECT_AND_RETRY_SAME_REFERENCE": "correct the request, and call again",
    "READ_TRANSACTION": "read the transaction",
    "CONTACT_OPERATOR": "call an operator of the gateway",
}

# After these, this shop calls again for the same purchase, so it must not refund it as well.
CALLS_AGAIN = {"RETRY_SAME_REFERENCE", "CORRECT_AND_RETRY_SAME_REFERENCE"}


def connect(address):
    """Returns a client that repeats interrupted calls by the service config."""
    options = [
        ("grpc.service_config", (PROTO / "service_config.json").read_text()),
        # Notice a dead connection while a watch is silent.
        ("grpc.keepalive_time_ms", 30_000),
    ]
    return TransactionServiceStub(grpc.insecure_channel(address, options))


def purchase(gateway, order):
    """Purchases at most once, however often it is called with the same order."""
    return gateway.PurchasePrepaid(order, timeout=60)


def name(enum, value, prefix):
    """Returns the name of an enum value without its prefix; a later release may add values."""
    known = enum.DESCRIPTOR.values_by_number.get(value)
    return known.name.removeprefix(prefix) if known else "UNKNOWN"


def next_step(transaction):
    """Returns the next step; one that this program does not know is a case for a person."""
    step = name(v1.NextStep, transaction.next_step, "NEXT_STEP_")
    return step if step in ACTIONS else "CONTACT_OPERATOR"


def follow(gateway, transaction):
    """Yields every further change of a transaction until it is no longer necessary to wait."""
    revision = transaction.revision
    while next_step(transaction) == "WAIT":
        request = calls.WatchTransactionRequest(
            reference_code=transaction.reference_code, after_revision=revision
        )
        try:
            for response in gateway.WatchTransaction(request):
                revision = response.revision
                # A heartbeat has no transaction.
                if response.HasField("transaction"):
                    transaction = response.transaction
                    yield transaction
            # The stream ended by age (`stream_expired`), or because the outcome is known.
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.OUT_OF_RANGE:
                revision = 0
            elif error.code() not in INTERRUPTIONS:
                raise
            print("watch interrupted, resuming after revision", revision, flush=True)
            time.sleep(1)


def list_all(gateway):
    """Returns all transactions, and the cursor from which a watch misses no later change."""
    transactions, cursor, request = [], "", calls.ListTransactionsRequest()
    while True:
        page = gateway.ListTransactions(request, timeout=30)
        transactions.extend(page.transactions)
        cursor = cursor or page.watch_cursor
        if not page.next_page_token:
            if not cursor:
                sys.exit("the gateway returns no watch_cursor: finish its upgrade first")
            return transactions, cursor
        request.page_token = page.next_page_token


def watch_all(gateway, cursor):
    """Yields every change of every transaction, or None, and the cursor after it, for ever.

    The transactions of a listing have no cursor: only after the last one may a watch continue.
    """
    while True:
        try:
            if not cursor:
                listed, after = list_all(gateway)
                for transaction in listed:
                    yield transaction, ""
                cursor = after
                yield None, cursor
            for response in gateway.WatchTransactions(
                calls.WatchTransactionsRequest(cursor=cursor)
            ):
                # A heartbeat has no transaction, but its cursor counts.
                cursor = response.cursor
                is_change = response.HasField("transaction")
                yield response.transaction if is_change else None, cursor
            # The stream ended by age (`stream_expired`).
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.OUT_OF_RANGE:
                cursor = ""
            elif error.code() not in INTERRUPTIONS:
                raise
            position = "the cursor" if cursor else "a new listing"
            print("watch interrupted, resuming from", position, flush=True)
            time.sleep(1)


def explain(error):
    """Returns reason, `sent` and next step of an error, or its gRPC code if it has no next step.

    A proxy's error has no ErrorInfo.
    """
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "gateway.okebayar":
            step = info.metadata.get("next_step")
            if step is None:
                step = error.code().name
            elif step not in ACTIONS:
                step = "CONTACT_OPERATOR"
            return info.reason, info.metadata.get("sent", "maybe"), step
    return error.code().name, "maybe", "RETRY_SAME_REFERENCE"


def show(transaction):
    state = name(v1.TransactionState, transaction.state, "TRANSACTION_STATE_")
    step = next_step(transaction)
    print(f"{transaction.reference_code} {state}, {step}: {ACTIONS[step]}", flush=True)


def buy(gateway, reference_code, product_code, account_number):
    order = calls.PurchasePrepaidRequest(
        reference_code=reference_code,
        product_code=product_code,
        account_number=account_number,
        wait_until=calls.WAIT_UNTIL_ANSWERED,
    )
    response = purchase(gateway, order)
    show(response.transaction)
    # The same call again purchases nothing.
    response = purchase(gateway, order)
    transaction = response.transaction
    print("replayed:", str(response.replayed).lower(), flush=True)
    for transaction in follow(gateway, transaction):
        show(transaction)
    print("serial number:", transaction.serial_number or "none")
    may_refund = transaction.safe_to_refund and next_step(transaction) not in CALLS_AGAIN
    print("refund the customer:", str(may_refund).lower())


def watch(gateway, cursor=""):
    for transaction, cursor in watch_all(gateway, cursor):
        if transaction:
            show(transaction)
        # A real shop stores the cursor together with what it did about the change.
        if cursor:
            print("cursor", cursor, flush=True)


def main(command, address, *arguments):
    try:
        {"buy": buy, "watch": watch}[command](connect(address), *arguments)
    except grpc.RpcError as error:
        reason, sent, step = explain(error)
        action = ACTIONS.get(step, "act on the gRPC code")
        print(f"error {reason}, sent={sent}, {step}: {action}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
