// A caller of the gateway: buys one product, or follows every transaction.
//
//	shop buy ADDRESS REFERENCE_CODE PRODUCT_CODE ACCOUNT_NUMBER
//	shop watch ADDRESS [CURSOR]
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	v1 "gateway.okebayar/gateway/v1"
)

//go:embed build/service_config.json
var serviceConfig string

// errNoCursor ends a watch: without a cursor it would start now, and miss what changed since the
// listing.
var errNoCursor = errors.New("the gateway returns no watch_cursor: finish its upgrade first")

// actions holds the actions of this shop, by `next_step`.
var actions = map[string]string{
	"WAIT":                             "wait for the outcome",
	"NONE":                             "done",
	"RETRY_SAME_REFERENCE":             "call again with the same reference code",
	"BUY_AGAIN":                        "refund, or buy again under a new reference code",
	"CORRECT_AND_BUY_AGAIN":            "ask the customer to correct the order",
	"INQUIRE_AGAIN":                    "inquire again",
	"DO_NOT_BUY_AGAIN":                 "do not pay this bill again",
	"CORRECT_AND_RETRY_SAME_REFERENCE": "correct the request, and call again",
	"READ_TRANSACTION":                 "read the transaction",
	"CONTACT_OPERATOR":                 "call an operator of the gateway",
}

// callsAgain returns true for a step after which this shop calls again for the same purchase, so that
// it must not refund it as well.
func callsAgain(step string) bool {
	return step == "RETRY_SAME_REFERENCE" || step == "CORRECT_AND_RETRY_SAME_REFERENCE"
}

// connect returns a connection that repeats interrupted calls by the service config.
func connect(address string) (*grpc.ClientConn, error) {
	return grpc.Dial(address,
		grpc.WithInsecure(),
		grpc.WithDefaultServiceConfig(serviceConfig),
		// Notice a dead connection while a watch is silent.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second}),
	)
}

// purchase purchases at most once, however often it is called with the same order.
func purchase(gateway v1.TransactionServiceClient, order *v1.PurchasePrepaidRequest) (*v1.PurchasePrepaidResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return gateway.PurchasePrepaid(ctx, order)
}

// known returns a step that this program knows; any other one is a case for a person.
func known(step string) string {
	if _, ok := actions[step]; ok {
		return step
	}
	return "CONTACT_OPERATOR"
}

func nextStep(transaction *v1.Transaction) string {
	return known(strings.TrimPrefix(transaction.GetNextStep().String(), "NEXT_STEP_"))
}

// interrupted returns true for an error that ends a stream, not the transaction: watch again from
// the last position.
func interrupted(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.Unknown, codes.Internal, codes.Canceled,
		codes.Aborted, codes.DeadlineExceeded:
		return true
	}
	return false
}

// follow shows every further change of a transaction until it is no longer necessary to wait, and
// returns the last one.
func follow(gateway v1.TransactionServiceClient, transaction *v1.Transaction) (*v1.Transaction, error) {
	revision := transaction.Revision
	for nextStep(transaction) == "WAIT" {
		watch, err := gateway.WatchTransaction(context.Background(), &v1.WatchTransactionRequest{
			ReferenceCode: transaction.ReferenceCode, AfterRevision: revision,
		})
		for err == nil {
			var response *v1.WatchTransactionResponse
			if response, err = watch.Recv(); err != nil {
				break
			}
			revision = response.Revision
			// A heartbeat has no transaction.
			if response.Transaction != nil {
				transaction = response.Transaction
				show(transaction)
			}
		}
		switch {
		case err == io.EOF:
			// The stream ended by age (`stream_expired`), or because the outcome is known.
			continue
		case status.Code(err) == codes.OutOfRange:
			revision = 0
		case !interrupted(err):
			return nil, err
		}
		fmt.Println("watch interrupted, resuming after revision", revision)
		time.Sleep(time.Second)
	}
	return transaction, nil
}

// listAll shows all transactions, and returns the cursor from which a watch misses no later change.
func listAll(gateway v1.TransactionServiceClient) (string, error) {
	cursor, request := "", &v1.ListTransactionsRequest{}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		page, err := gateway.ListTransactions(ctx, request)
		cancel()
		if err != nil {
			return "", err
		}
		for _, transaction := range page.Transactions {
			show(transaction)
		}
		if cursor == "" {
			cursor = page.WatchCursor
		}
		if page.NextPageToken == "" {
			if cursor == "" {
				return "", errNoCursor
			}
			return cursor, nil
		}
		request.PageToken = page.NextPageToken
	}
}

// watchAll shows every change of every transaction, until a watch fails for good.
func watchAll(gateway v1.TransactionServiceClient, cursor string) error {
	for {
		var watch v1.TransactionService_WatchTransactionsClient
		var err error
		if cursor == "" {
			// Only after the last listed transaction may a watch continue.
			if cursor, err = listAll(gateway); err == nil {
				fmt.Println("cursor", cursor)
			}
		}
		if err == nil {
			watch, err = gateway.WatchTransactions(context.Background(), &v1.WatchTransactionsRequest{Cursor: cursor})
		}
		for err == nil {
			var response *v1.WatchTransactionsResponse
			if response, err = watch.Recv(); err != nil {
				break
			}
			// A heartbeat has no transaction, but its cursor counts.
			cursor = response.Cursor
			if response.Transaction != nil {
				show(response.Transaction)
			}
			// A real shop stores the cursor together with what it did about the change.
			fmt.Println("cursor", cursor)
		}
		switch {
		case err == io.EOF:
			// The stream ended by age (`stream_expired`).
			continue
		case status.Code(err) == codes.OutOfRange:
			cursor = ""
		case err == errNoCursor || !interrupted(err):
			return err
		}
		position := "the cursor"
		if cursor == "" {
			position = "a new listing"
		}
		fmt.Println("watch interrupted, resuming from", position)
		time.Sleep(time.Second)
	}
}

// explain returns the reason, `sent` and next step of an error, or its gRPC code if it has no next
// step. A proxy's error has no ErrorInfo.
func explain(err error) (reason, sent, step string) {
	codeName := code.Code(status.Code(err)).String()
	for _, detail := range status.Convert(err).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.Domain != "gateway.okebayar" {
			continue
		}
		sent = "maybe"
		if info.Metadata["sent"] == "no" {
			sent = "no"
		}
		if info.Metadata["next_step"] == "" {
			return info.Reason, sent, codeName
		}
		return info.Reason, sent, known(info.Metadata["next_step"])
	}
	return codeName, "maybe", "RETRY_SAME_REFERENCE"
}

func show(transaction *v1.Transaction) {
	state := strings.TrimPrefix(transaction.State.String(), "TRANSACTION_STATE_")
	step := nextStep(transaction)
	fmt.Printf("%s %s, %s: %s\n", transaction.ReferenceCode, state, step, actions[step])
}

func buy(gateway v1.TransactionServiceClient, referenceCode, productCode, accountNumber string) error {
	order := &v1.PurchasePrepaidRequest{
		ReferenceCode: referenceCode,
		ProductCode:   productCode,
		AccountNumber: accountNumber,
		WaitUntil:     v1.WaitUntil_WAIT_UNTIL_ANSWERED,
	}
	response, err := purchase(gateway, order)
	if err != nil {
		return err
	}
	show(response.Transaction)
	// The same call again purchases nothing.
	if response, err = purchase(gateway, order); err != nil {
		return err
	}
	fmt.Println("replayed:", response.Replayed)
	transaction, err := follow(gateway, response.Transaction)
	if err != nil {
		return err
	}
	serialNumber := transaction.SerialNumber
	if serialNumber == "" {
		serialNumber = "none"
	}
	fmt.Println("serial number:", serialNumber)
	fmt.Println("refund the customer:", transaction.SafeToRefund && !callsAgain(nextStep(transaction)))
	return nil
}

func run(arguments []string) error {
	conn, err := connect(arguments[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	gateway := v1.NewTransactionServiceClient(conn)
	if arguments[0] == "buy" {
		return buy(gateway, arguments[2], arguments[3], arguments[4])
	}
	return watchAll(gateway, strings.Join(arguments[2:], ""))
}

func main() {
	arguments := os.Args[1:]
	isBuy := len(arguments) == 5 && arguments[0] == "buy"
	isWatch := (len(arguments) == 2 || len(arguments) == 3) && arguments[0] == "watch"
	if !isBuy && !isWatch {
		fmt.Fprintln(os.Stderr, "usage: shop buy ADDRESS REFERENCE_CODE PRODUCT_CODE ACCOUNT_NUMBER\n       shop watch ADDRESS [CURSOR]")
		os.Exit(2)
	}
	err := run(arguments)
	if err == nil {
		return
	}
	if err == errNoCursor {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	reason, sent, step := explain(err)
	action, ok := actions[step]
	if !ok {
		action = "act on the gRPC code"
	}
	fmt.Fprintf(os.Stderr, "error %s, sent=%s, %s: %s\n", reason, sent, step, action)
	os.Exit(1)
}
