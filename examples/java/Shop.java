import com.google.gson.Gson;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import okebayar.gateway.v1.ListTransactionsRequest;
import okebayar.gateway.v1.ListTransactionsResponse;
import okebayar.gateway.v1.PurchasePrepaidRequest;
import okebayar.gateway.v1.PurchasePrepaidResponse;
import okebayar.gateway.v1.Transaction;
import okebayar.gateway.v1.TransactionServiceGrpc;
import okebayar.gateway.v1.TransactionServiceGrpc.TransactionServiceBlockingStub;
import okebayar.gateway.v1.WaitUntil;
import okebayar.gateway.v1.WatchTransactionRequest;
import okebayar.gateway.v1.WatchTransactionResponse;
import okebayar.gateway.v1.WatchTransactionsRequest;
import okebayar.gateway.v1.WatchTransactionsResponse;

/**
 * A caller of the gateway: buys one product, or follows every transaction.
 *
 * <pre>
 * Shop buy ADDRESS REFERENCE_CODE PRODUCT_CODE ACCOUNT_NUMBER
 * Shop watch ADDRESS [CURSOR]
 * </pre>
 */
public final class Shop {
  private static final Path SERVICE_CONFIG =
      Path.of("../../proto/okebayar/gateway/v1/service_config.json");

  /** These end a stream, not the transaction: watch again from the last position. */
  private static final Set<Status.Code> INTERRUPTIONS =
      EnumSet.of(
          Status.Code.UNAVAILABLE,
          Status.Code.RESOURCE_EXHAUSTED,
          Status.Code.UNKNOWN,
          Status.Code.INTERNAL,
          Status.Code.CANCELLED,
          Status.Code.ABORTED,
          Status.Code.DEADLINE_EXCEEDED);

  /** The actions of this shop, by {@code next_step}. */
  private static final Map<String, String> ACTIONS =
      Map.of(
          "WAIT", "wait for the outcome",
          "NONE", "done",
          "RETRY_SAME_REFERENCE", "call again with the same reference code",
          "BUY_AGAIN", "refund, or buy again under a new reference code",
          "CORRECT_AND_BUY_AGAIN", "ask the customer to correct the order",
          "INQUIRE_AGAIN", "inquire again",
          "DO_NOT_BUY_AGAIN", "do not pay this bill again",
          "CORRECT_AND_RETRY_SAME_REFERENCE", "correct the request, and call again",
          "READ_TRANSACTION", "read the transaction",
          "CONTACT_OPERATOR", "call an operator of the gateway");

  /** After these, this shop calls again for the same purchase, so it must not refund it as well. */
  private static final Set<String> CALLS_AGAIN =
      Set.of("RETRY_SAME_REFERENCE", "CORRECT_AND_RETRY_SAME_REFERENCE");

  private final TransactionServiceBlockingStub gateway;

  private Shop(ManagedChannel channel) {
    gateway = TransactionServiceGrpc.newBlockingStub(channel);
  }

  /** Returns a channel that repeats interrupted calls by the service config. */
  @SuppressWarnings("unchecked") // The JSON is an object.
  private static ManagedChannel connect(String address) throws java.io.IOException {
    String serviceConfig = Files.readString(SERVICE_CONFIG);
    return ManagedChannelBuilder.forTarget(address)
        .usePlaintext()
        .enableRetry()
        .defaultServiceConfig(new Gson().fromJson(serviceConfig, Map.class))
        // Notice a dead connection while a watch is silent.
        .keepAliveTime(30, TimeUnit.SECONDS)
        .build();
  }

  /** Purchases at most once, however often it is called with the same order. */
  private PurchasePrepaidResponse purchase(PurchasePrepaidRequest order) {
    return gateway.withDeadlineAfter(60, TimeUnit.SECONDS).purchasePrepaid(order);
  }

  /** Returns a step that this program knows; any other one is a case for a person. */
  private static String known(String step) {
    return ACTIONS.containsKey(step) ? step : "CONTACT_OPERATOR";
  }

  private static String nextStep(Transaction transaction) {
    return known(transaction.getNextStep().name().replace("NEXT_STEP_", ""));
  }

  /** Shows every further change of a transaction until it is no longer necessary to wait. */
  private Transaction follow(Transaction transaction) throws InterruptedException {
    long revision = transaction.getRevision();
    while (nextStep(transaction).equals("WAIT")) {
      WatchTransactionRequest request =
          WatchTransactionRequest.newBuilder()
              .setReferenceCode(transaction.getReferenceCode())
              .setAfterRevision(revision)
              .build();
      try {
        Iterator<WatchTransactionResponse> watch = gateway.watchTransaction(request);
        while (watch.hasNext()) {
          WatchTransactionResponse response = watch.next();
          revision = response.getRevision();
          // A heartbeat has no transaction.
          if (response.hasTransaction()) {
            transaction = response.getTransaction();
            show(transaction);
          }
        }
        // The stream ended by age (`stream_expired`), or because the outcome is known.
      } catch (StatusRuntimeException error) {
        Status.Code code = error.getStatus().getCode();
        if (code == Status.Code.OUT_OF_RANGE) {
          revision = 0;
        } else if (!INTERRUPTIONS.contains(code)) {
          throw error;
        }
        System.out.println("watch interrupted, resuming after revision " + revision);
        Thread.sleep(1000);
      }
    }
    return transaction;
  }

  /** Shows all transactions, and returns the cursor from which a watch misses no later change. */
  private String listAll() {
    String cursor = "";
    ListTransactionsRequest.Builder request = ListTransactionsRequest.newBuilder();
    while (true) {
      ListTransactionsResponse page =
          gateway.withDeadlineAfter(30, TimeUnit.SECONDS).listTransactions(request.build());
      page.getTransactionsList().forEach(Shop::show);
      if (cursor.isEmpty()) {
        cursor = page.getWatchCursor();
      }
      if (page.getNextPageToken().isEmpty()) {
        if (cursor.isEmpty()) {
          throw new IllegalStateException(
              "the gateway returns no watch_cursor: finish its upgrade first");
        }
        return cursor;
      }
      request.setPageToken(page.getNextPageToken());
    }
  }

  /** Shows every change of every transaction, until a watch fails for good. */
  private void watchAll(String cursor) throws InterruptedException {
    while (true) {
      try {
        if (cursor.isEmpty()) {
          // Only after the last listed transaction may a watch continue.
          cursor = listAll();
          System.out.println("cursor " + cursor);
        }
        WatchTransactionsRequest request =
            WatchTransactionsRequest.newBuilder().setCursor(cursor).build();
        Iterator<WatchTransactionsResponse> watch = gateway.watchTransactions(request);
        while (watch.hasNext()) {
          WatchTransactionsResponse response = watch.next();
          // A heartbeat has no transaction, but its cursor counts.
          cursor = response.getCursor();
          if (response.hasTransaction()) {
            show(response.getTransaction());
          }
          // A real shop stores the cursor together with what it did about the change.
          System.out.println("cursor " + cursor);
        }
        // The stream ended by age (`stream_expired`).
      } catch (StatusRuntimeException error) {
        Status.Code code = error.getStatus().getCode();
        if (code == Status.Code.OUT_OF_RANGE) {
          cursor = "";
        } else if (!INTERRUPTIONS.contains(code)) {
          throw error;
        }
        String position = cursor.isEmpty() ? "a new listing" : "the cursor";
        System.out.println("watch interrupted, resuming from " + position);
        Thread.sleep(1000);
      }
    }
  }

  /**
   * Returns reason, {@code sent} and next step of an error, or its gRPC code if it has no next step.
   * A proxy's error has no ErrorInfo.
   */
  private static String[] explain(StatusRuntimeException error)
      throws InvalidProtocolBufferException {
    String code = error.getStatus().getCode().name();
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    for (com.google.protobuf.Any detail : status.getDetailsList()) {
      if (!detail.is(ErrorInfo.class)) {
        continue;
      }
      ErrorInfo info = detail.unpack(ErrorInfo.class);
      if (info.getDomain().equals("gateway.okebayar")) {
        String step = info.getMetadataOrDefault("next_step", "");
        return new String[] {
          info.getReason(),
          info.getMetadataOrDefault("sent", "maybe"),
          step.isEmpty() ? code : known(step)
        };
      }
    }
    return new String[] {code, "maybe", "RETRY_SAME_REFERENCE"};
  }

  private static void show(Transaction transaction) {
    String state = transaction.getState().name().replace("TRANSACTION_STATE_", "");
    String step = nextStep(transaction);
    System.out.printf(
        "%s %s, %s: %s%n", transaction.getReferenceCode(), state, step, ACTIONS.get(step));
  }

  private void buy(String referenceCode, String productCode, String accountNumber)
      throws InterruptedException {
    PurchasePrepaidRequest order =
        PurchasePrepaidRequest.newBuilder()
            .setReferenceCode(referenceCode)
            .setProductCode(productCode)
            .setAccountNumber(accountNumber)
            .setWaitUntil(WaitUntil.WAIT_UNTIL_ANSWERED)
            .build();
    show(purchase(order).getTransaction());
    // The same call again purchases nothing.
    PurchasePrepaidResponse replay = purchase(order);
    System.out.println("replayed: " + replay.getReplayed());
    Transaction transaction = follow(replay.getTransaction());
    String serialNumber = transaction.getSerialNumber();
    System.out.println("serial number: " + (serialNumber.isEmpty() ? "none" : serialNumber));
    boolean mayRefund =
        transaction.getSafeToRefund() && !CALLS_AGAIN.contains(nextStep(transaction));
    System.out.println("refund the customer: " + mayRefund);
  }

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel = connect(arguments[1]);
    Shop shop = new Shop(channel);
    try {
      switch (arguments[0]) {
        case "buy" -> shop.buy(arguments[2], arguments[3], arguments[4]);
        case "watch" -> shop.watchAll(arguments.length > 2 ? arguments[2] : "");
        default -> throw new IllegalArgumentException(arguments[0]);
      }
    } catch (StatusRuntimeException error) {
      String[] known = explain(error);
      String action = ACTIONS.getOrDefault(known[2], "act on the gRPC code");
      System.err.printf("error %s, sent=%s, %s: %s%n", known[0], known[1], known[2], action);
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }
}
