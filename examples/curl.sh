#!/bin/sh
# The main job by curl: create a task with a file, poll it, print its result, download its chart.
# Needs a running network (`make run`) and python3 to read JSON. Exits with 1 when anything fails.
set -eu

url=${COORDINATOR_URL:-http://127.0.0.1:8000}
url=${url%/}
data=$(dirname "$0")/data/seattle-weather.csv
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

fail() {
    echo "curl.sh: $1" >&2
    exit 1
}

# field EXPRESSION: what the expression gives for the last answer, `a`.
field() {
    python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$answer" "$1"
}

# call ARGUMENTS OF CURL: the body goes to $answer; an error of the API ends the script with its words.
call() {
    code=$(curl --silent --show-error --max-time 60 --output "$answer" --write-out '%{http_code}' "$@") ||
        fail "no coordinator at $url; start one with: make run"
    case $code in
    2??) ;;
    *) fail "HTTP $code: $(cat "$answer")" ;;
    esac
}

call "$url/api/tasks" \
    --form 'description=Research how agents register with the coordinator and summarise it, then analyse the attached weather data' \
    --form "files=@$data;type=text/csv"
task=$(field 'a["task_id"]')
echo "task $task"

status=pending
tries=0
until [ "$status" = completed ]; do
    [ "$tries" -lt 120 ] || fail "not done after 120 s; see $url/api/tasks/$task/why"
    tries=$((tries + 1))
    sleep 1
    call "$url/api/tasks/$task"
    status=$(field 'a["status"]')
    case $status in
    failed | canceled) fail "the task $status: $(field 'a["error"]')" ;;
    esac
done

field 'a["result"]["text"]'
echo
field '"\n".join("[%d] %s" % (s["number"], s["source"]) for s in a["result"]["sources"])'
chart=$(field 'next((f["id"] for f in a["result"]["artifacts"] if f["media_type"] == "image/svg+xml"), "")')
[ -n "$chart" ] || fail "the result has no chart"
call "$url/api/tasks/$task/artifacts/$chart"
mkdir -p parley-results
cp "$answer" "parley-results/$task.svg"
echo
echo "chart: parley-results/$task.svg"
