// A caller of the gateway: buys one product, or follows every transaction.
//
//     shop.js buy ADDRESS REFERENCE_CODE PRODUCT_CODE ACCOUNT_NUMBER
//     shop.js watch ADDRESS [CURSOR]

const fs = require("fs");
const path = require("path");
const { setTimeout: pause } = require("timers/promises");

const grpc = require("@grpc/grpc-js");
const protoLoader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const PROTO = path.join(__dirname, "../../proto");
const VERSION = "okebayar/gateway/v1";

const definition = protoLoader.loadSync(`${VERSION}/transaction_service.proto`, {
  includeDirs: [PROTO],
  keepCase: true,
  longs: String,
  enums: String, // A value that a later release adds is its number.
  defaults: true,
});
const v1 = grpc.loadPackageDefinition(definition).okebayar.gateway.v1;

// google/rpc/status.proto and google/rpc/error_details.proto, as far as they are read here.
const rpc = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
`, { keepCase: true }).root;

// These end a stream, not the transaction: watch again from the last position.
const INTERRUPTIONS = new Set([
  grpc.status.UNAVAILABLE,
  grpc.status.RESOURCE_EXHAUSTED,
  grpc.status.UNKNOWN,
  grpc.status.INTERNAL,
  grpc.status.CANCELLED,
  grpc.status.ABORTED,
  grpc.status.DEADLINE_EXCEEDED,
]);

// The actions of this shop, by `next_step`.
const ACTIONS = new Map(Object.entries({
  WAIT: "wait for the outcome",
  NONE: "done",
  RETRY_SAME_REFERENCE: "call again with the same reference code",
  BUY_AGAIN: "refund, or buy again under a new reference code",
  CORRECT_AND_BUY_AGAIN: "ask the customer to correct the order",
  INQUIRE_AGAIN: "inquire again",
  DO_NOT_BUY_AGAIN: "do not pay this bill again",
  CORRECT_AND_RETRY_SAME_REFERENCE: "correct the request, and call again",
  READ_TRANSACTION: "read the transaction",
  CONTACT_OPERATOR: "call an operator of the gateway",
}));

// After these, this shop calls again for the same purchase, so it must not refund it as well.
const CALLS_AGAIN = new Set(["RETRY_SAME_REFERENCE", "CORRECT_AND_RETRY_SAME_REFERENCE"]);

// Returns a client that repeats interrupted calls by the service config.
function connect(address) {
  return new v1.TransactionService(address, grpc.credentials.createInsecure(), {
    "grpc.service_config": fs.readFileSync(path.join(PROTO, VERSION, "service_config.json"), "utf8"),
    // Notice a dead connection while a watch is silent.
    "grpc.keepalive_time_ms": 30_000,
  });
}

// Makes a unary call with a deadline.
function call(gateway, method, request, seconds) {
  const deadline = new Date(Date.now() + seconds * 1000);
  return new Promise((resolve, reject) => {
    gateway[method](request, { deadline }, (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });
}

// Purchases at most once, however often it is called with the same order.
function purchase(gateway, order) {
  return call(gateway, "purchasePrepaid", order, 60);
}

// Returns a step that this program knows; any other one is a case for a person.
function known(step) {
  return ACTIONS.has(step) ? step : "CONTACT_OPERATOR";
}

function nextStep(transaction) {
  return known(String(transaction.next_step).replace("NEXT_STEP_", ""));
}

// Yields every further change of a transaction until it is no longer necessary to wait.
async function* follow(gateway, transaction) {
  let revision = transaction.revision;
  while (nextStep(transaction) === "WAIT") {
    const request = { reference_code: transaction.reference_code, after_revision: revision };
    try {
      for await (const response of gateway.watchTransaction(request)) {
        revision = response.revision;
        // A heartbeat has no transaction.
        if (response.transaction) {
          transaction = response.transaction;
          yield transaction;
        }
      }
      // The stream ended by age (`stream_expired`), or because the outcome is known.
    } catch (error) {
      if (error.code === grpc.status.OUT_OF_RANGE) revision = 0;
      else if (!INTERRUPTIONS.has(error.code)) throw error;
      console.log("watch interrupted, resuming after revision", revision);
      await pause(1000);
    }
  }
}

// Returns all transactions, and the cursor from which a watch misses no later change.
async function listAll(gateway) {
  const transactions = [];
  let [cursor, page_token] = ["", ""];
  do {
    const page = await call(gateway, "listTransactions", { page_token }, 30);
    transactions.push(...page.transactions);
    cursor ||= page.watch_cursor;
    page_token = page.next_page_token;
  } while (page_token);
  if (!cursor) throw new Error("the gateway returns no watch_cursor: finish its upgrade first");
  return { transactions, cursor };
}

// Yields every change of every transaction, or null, and the cursor after it, for ever. The
// transactions of a listing have no cursor: only after the last one may a watch continue.
async function* watchAll(gateway, cursor) {
  for (;;) {
    try {
      if (!cursor) {
        const listed = await listAll(gateway);
        for (const transaction of listed.transactions) yield { transaction, cursor: "" };
        cursor = listed.cursor;
        yield { transaction: null, cursor };
      }
      for await (const response of gateway.watchTransactions({ cursor })) {
        // A heartbeat has no transaction, but its cursor counts.
        cursor = response.cursor;
        yield { transaction: response.transaction, cursor };
      }
      // The stream ended by age (`stream_expired`).
    } catch (error) {
      if (error.code === grpc.status.OUT_OF_RANGE) cursor = "";
      else if (!INTERRUPTIONS.has(error.code)) throw error;
      console.log("watch interrupted, resuming from", cursor ? "the cursor" : "a new listing");
      await pause(1000);
    }
  }
}

// Returns reason, `sent` and next step of an error, or its gRPC code if it has no next step. A
// proxy's error has no ErrorInfo.
function explain(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const details = bytes ? rpc.lookupType("Status").decode(bytes).details : [];
  for (const { type_url, value } of details) {
    if (!type_url.endsWith("/google.rpc.ErrorInfo")) continue;
    const { reason, domain, metadata } = rpc.lookupType("ErrorInfo").decode(value);
    if (domain !== "gateway.okebayar") continue;
    const step = metadata.next_step ? known(metadata.next_step) : grpc.status[error.code];
    return { reason, sent: metadata.sent ?? "maybe", step };
  }
  return { reason: grpc.status[error.code], sent: "maybe", step: "RETRY_SAME_REFERENCE" };
}

function show(transaction) {
  const state = String(transaction.state).replace("TRANSACTION_STATE_", "");
  const step = nextStep(transaction);
  console.log(`${transaction.reference_code} ${state}, ${step}: ${ACTIONS.get(step)}`);
}

async function buy(gateway, reference_code, product_code, account_number) {
  const order = { reference_code, product_code, account_number, wait_until: "WAIT_UNTIL_ANSWERED" };
  let { transaction, replayed } = await purchase(gateway, order);
  show(transaction);
  // The same call again purchases nothing.
  ({ transaction, replayed } = await purchase(gateway, order));
  console.log("replayed:", replayed);
  for await (transaction of follow(gateway, transaction)) show(transaction);
  console.log("serial number:", transaction.serial_number || "none");
  const callsAgain = CALLS_AGAIN.has(nextStep(transaction));
  console.log("refund the customer:", transaction.safe_to_refund && !callsAgain);
}

async function watch(gateway, start = "") {
  for await (const { transaction, cursor } of watchAll(gateway, start)) {
    if (transaction) show(transaction);
    // A real shop stores the cursor together with what it did about the change.
    if (cursor) console.log("cursor", cursor);
  }
}

async function main(command, address, ...rest) {
  const gateway = connect(address);
  try {
    await { buy, watch }[command](gateway, ...rest);
  } catch (error) {
    // An error without a code is a fault of this program.
    if (error.code === undefined) throw error;
    const { reason, sent, step } = explain(error);
    const action = ACTIONS.get(step) ?? "act on the gRPC code";
    console.error(`error ${reason}, sent=${sent}, ${step}: ${action}`);
    process.exitCode = 1;
  } finally {
    gateway.close();
  }
}

main(...process.argv.slice(2));
