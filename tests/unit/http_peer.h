// http_peer.h: an HTTP server on a thread that keeps what it is asked and says what a test gives it.
#ifndef MAIL_HTTP_PEER_H
#define MAIL_HTTP_PEER_H

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

class http_peer {
public:
    struct Request { std::string method, target, head, body; };
    // The whole answer to a request, from the status line on; empty: hangs up.
    std::function<std::string(const Request &)> answer;

    http_peer()
    {
        listening_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in at = {};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t len = sizeof(at);
        // Above 8080, so that it is that port with an offset.
        for (at.sin_port = 0; at.sin_port == 0;) {
            EXPECT_EQ(0, bind(listening_, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
            EXPECT_EQ(0, getsockname(listening_, reinterpret_cast<sockaddr *>(&at), &len));
        }
        EXPECT_EQ(0, listen(listening_, 64));
        port = ntohs(at.sin_port);
        answer = [](const Request &) { return Json("200 OK", "{}"); };
        thread_ = std::thread([this] { Run(); });
    }
    ~http_peer()
    {
        stop_ = true;
        thread_.join();
        close(listening_);
    }
    http_peer(const http_peer &) = delete;
    http_peer &operator=(const http_peer &) = delete;

    uint16_t port = 0;
    std::string Url() const { return "http://127.0.0.1:" + std::to_string(port); }
    std::vector<Request> Requests()
    {
        std::lock_guard<std::mutex> hold(lock_);
        return requests_;
    }
    void Forget()
    {
        std::lock_guard<std::mutex> hold(lock_);
        requests_.clear();
    }
    static std::string Json(const std::string &status, const std::string &body)
    {
        return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    }

private:
    int listening_;
    std::atomic<bool> stop_{ false };
    std::mutex lock_;
    std::vector<Request> requests_;
    std::thread thread_;

    static bool Ready(int fd)
    {
        pollfd one = { fd, POLLIN, 0 };
        return poll(&one, 1, 20) == 1;
    }
    void Run()
    {
        while (!stop_) {
            if (!Ready(listening_)) continue;
            int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            Serve(fd);
            close(fd);
        }
    }
    void Serve(int fd)
    {
        std::string in;
        size_t end = std::string::npos, length = 0;
        char part[65536];
        while (!stop_ && (end == std::string::npos || in.size() < end + length)) {
            if (!Ready(fd)) continue;
            ssize_t count = recv(fd, part, sizeof(part), 0);
            if (count <= 0) return;
            in.append(part, static_cast<size_t>(count));
            end = in.find("\r\n\r\n");
            if (end == std::string::npos) continue;
            end += 4;
            size_t at = in.find("Content-Length: ");
            length = at == std::string::npos || at > end ? 0 : std::stoul(in.substr(at + 16));
        }
        Request request;
        size_t one = in.find(' '), two = in.find(' ', one + 1);
        request.method = in.substr(0, one);
        request.target = in.substr(one + 1, two - one - 1);
        request.head = in.substr(0, end);
        request.body = in.substr(end);
        {
            std::lock_guard<std::mutex> hold(lock_);
            requests_.push_back(request);
        }
        std::string out = answer(request);
        for (size_t done = 0; done < out.size();) {
            ssize_t count = send(fd, out.data() + done, out.size() - done, MSG_NOSIGNAL);
            if (count <= 0) return;
            done += static_cast<size_t>(count);
        }
    }
};

#endif
