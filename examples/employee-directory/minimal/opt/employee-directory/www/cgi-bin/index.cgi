#!/bin/sh
# The employee directory for a machine that has nothing but busybox. busybox httpd starts this once per
# request: for each address that ends in "/" and names no file, and for /cgi-bin/ itself.
# One line of employees.tsv is one employee: id, name, job title, location, e-mail.
export LC_ALL=C
: "${DIRECTORY_HOME:=/opt/employee-directory}" "${DIRECTORY_STATE:=/var/lib/employee-directory}"
: "${DIRECTORY_RUN:=/run/employee-directory}"
export DIRECTORY_RUN
records=$DIRECTORY_STATE/employees.tsv
MAX_FORM_BYTES=8192

awk_records() { awk -f "$DIRECTORY_HOME/directory.awk" -v action="$1" "$records"; }

respond() { # status, content type, where to go on
  printf 'HTTP/1.0 %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n' "$1" "$2"
  printf "Content-Security-Policy: default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'\r\n"
  printf 'X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n'
  [ -z "${3-}" ] || printf 'Location: %s\r\n' "$3"
  printf '\r\n'
  [ "$REQUEST_METHOD" != HEAD ] || exit 0
}

page() { # status, what to show, problem
  respond "$1" 'text/html; charset=utf-8'
  PROBLEM=${3-} awk_records "$2"
}

refuse() { page "$1" error "$2"; exit; }

lock() { # mkdir either makes the directory or fails, whoever else tries
  tries=50
  until mkdir "$DIRECTORY_RUN/lock" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || refuse '503 Service Unavailable' 'The directory is busy. Please try again.'
    usleep 100000
  done
  trap 'rmdir "$DIRECTORY_RUN/lock"' EXIT
}

replace_records() { # with what awk makes of them; after this a power cut loses nothing
  awk_records "$1" >"$records.new" && sync "$records.new" && mv "$records.new" "$records" && sync "$DIRECTORY_STATE"
}

read_form() { # into FORM, which awk decodes
  # Browsers name the page that a form was on; a form on another site's page must not work here.
  case $HTTP_ORIGIN in '' | "http://$HTTP_HOST") ;; *) refuse '403 Forbidden' 'This form is not from here.' ;; esac
  case $CONTENT_TYPE in application/x-www-form-urlencoded*) ;; *) refuse '400 Bad Request' 'This is not a form.' ;; esac
  [ "${CONTENT_LENGTH:-0}" -le $MAX_FORM_BYTES ] || refuse '413 Payload Too Large' 'The form is too large.'
  FORM=$(head -c "${CONTENT_LENGTH:-0}")
  export FORM
}

change_records() { # add, or delete the employee with this id
  lock
  EMPLOYEE=$2 replace_records "$1" || refuse '500 Internal Server Error' 'The directory could not be written.'
  respond '303 See Other' text/plain /
}

path=${REQUEST_URI%%\?*}
method=$REQUEST_METHOD
[ "$method" != HEAD ] || method=GET
case "$method $path" in
  'GET /' | 'GET /cgi-bin/' | 'GET /cgi-bin/index.cgi') page '200 OK' list ;;
  'GET /employees/new/') page '200 OK' form ;;
  'GET /api/employees/') respond '200 OK' application/json && awk_records json ;;
  'GET /api/instance/') respond '200 OK' application/json && awk_records instance ;;
  'GET /healthz/') respond '200 OK' text/plain && printf ok ;;
  'POST /employees/')
    read_form
    problem=$(awk_records check)
    [ -z "$problem" ] || { page '400 Bad Request' form "$problem"; exit; }
    change_records add
    ;;
  'POST /employees/'*'/delete/')
    read_form
    id=${path#/employees/} id=${id%/delete/}
    EMPLOYEE=$id awk_records has || refuse '404 Not Found' 'There is no such employee.'
    change_records delete "$id"
    ;;
  *) refuse '404 Not Found' 'There is no such page.' ;;
esac
