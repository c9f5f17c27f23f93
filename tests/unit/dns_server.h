// dns_server.h: a small DNS server over UDP on a thread of its own, for tests.
#ifndef MAIL_DNS_SERVER_H
#define MAIL_DNS_SERVER_H

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

class dns_server {
public:
    enum : uint16_t { A = 1, CNAME = 5, PTR = 12, MX = 15, TXT = 16, AAAA = 28, TLSA = 52 };

    dns_server()
    {
        fd_ = socket(AF_INET, SOCK_DGRAM, 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t len = sizeof(at);
        EXPECT_EQ(0, bind(fd_, reinterpret_cast<sockaddr *>(&at), sizeof(at)));
        EXPECT_EQ(0, getsockname(fd_, reinterpret_cast<sockaddr *>(&at), &len));
        port_ = ntohs(at.sin_port);
        stop_ = eventfd(0, 0);
        thread_ = std::thread([this] { Run(); });
    }
    ~dns_server()
    {
        uint64_t one = 1;
        EXPECT_EQ(static_cast<ssize_t>(sizeof(one)), write(stop_, &one, sizeof(one)));
        thread_.join();
        close(fd_);
        close(stop_);
    }
    dns_server(const dns_server &) = delete;
    dns_server &operator=(const dns_server &) = delete;

    std::string Address() const { return "127.0.0.1:" + std::to_string(port_); }

    // Before anybody asks for the name, since answers are cached.
    void Raw(const std::string &name, uint16_t type, const std::string &rdata)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        zone_[name][type].push_back(rdata);
    }
    void Address4(const std::string &name, const char *ip)
    {
        char bytes[4];
        ASSERT_EQ(1, inet_pton(AF_INET, ip, bytes));
        Raw(name, A, std::string(bytes, 4));
    }
    void Address6(const std::string &name, const char *ip)
    {
        char bytes[16];
        ASSERT_EQ(1, inet_pton(AF_INET6, ip, bytes));
        Raw(name, AAAA, std::string(bytes, 16));
    }
    void Mx(const std::string &name, unsigned preference, const std::string &host)
    {
        Raw(name, MX, std::string{ static_cast<char>(preference >> 8), static_cast<char>(preference) } + Wire(host));
    }
    void Servfail(const std::string &name)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        servfail_.insert(name);
    }
    void Silent(const std::string &name)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        silent_.insert(name);
    }
    unsigned Asked() const { return asked_; }

    static std::string Wire(const std::string &name)
    {
        std::string wire;
        for (size_t at = 0; at < name.size();) {
            size_t dot = std::min(name.find('.', at), name.size());
            wire += static_cast<char>(dot - at) + name.substr(at, dot - at);
            at = dot + 1;
        }
        return wire + '\0';
    }

private:
    int fd_, stop_;
    uint16_t port_;
    std::thread thread_;
    std::mutex mutex_;
    std::atomic<unsigned> asked_{ 0 };
    std::map<std::string, std::map<uint16_t, std::vector<std::string>>> zone_;
    std::set<std::string> servfail_, silent_;

    static std::string Number(unsigned value) { return { static_cast<char>(value >> 8), static_cast<char>(value) }; }

    void Run()
    {
        for (;;) {
            pollfd fds[] = { { fd_, POLLIN, 0 }, { stop_, POLLIN, 0 } };
            if (poll(fds, 2, -1) < 0) continue;
            if (fds[1].revents != 0) return;
            char bytes[1024];
            sockaddr_in from{};
            socklen_t len = sizeof(from);
            ssize_t got = recvfrom(fd_, bytes, sizeof(bytes), 0, reinterpret_cast<sockaddr *>(&from), &len);
            if (got < 17) continue;
            std::string reply = Reply(std::string(bytes, static_cast<size_t>(got)));
            if (reply.empty()) continue;
            sendto(fd_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr *>(&from), len);
        }
    }

    std::string Reply(const std::string &query)
    {
        std::string name;
        size_t at = 12;
        for (size_t label; at < query.size() && (label = static_cast<unsigned char>(query[at])) != 0; at += label + 1) {
            if (!name.empty()) name += '.';
            for (char c : query.substr(at + 1, label)) name += static_cast<char>(tolower(c));
        }
        if (at + 5 > query.size()) return "";
        uint16_t type = static_cast<uint16_t>(static_cast<unsigned char>(query[at + 1]) << 8 | static_cast<unsigned char>(query[at + 2]));
        std::string question = query.substr(12, at + 5 - 12);
        asked_++;
        std::lock_guard<std::mutex> lock(mutex_);
        if (silent_.count(name) != 0) return "";
        unsigned rcode = servfail_.count(name) != 0 ? 2 : zone_.count(name) == 0 ? 3 : 0;
        std::string answers;
        unsigned count = 0;
        if (rcode == 0) {
            for (const auto &rdata : zone_[name][type]) {
                answers += "\xc0\x0c" + Number(type) + Number(1) + Number(0) + Number(300) + Number(static_cast<unsigned>(rdata.size())) + rdata;
                count++;
            }
        }
        return query.substr(0, 2) + Number(0x8180 | rcode) + Number(1) + Number(count) + Number(0) + Number(0) + question + answers;
    }
};

#endif
